"""Facts for subscribers, written in the transaction of the act they speak of."""

from datetime import datetime
from typing import Any, Final

from workflow.vocabulary import Act

EVENTS: Final[dict[Act, str]] = {
    Act.REGISTER: "ticket.registered",
    Act.ACCEPT: "ticket.accepted",
    Act.REFUSE: "ticket.refused",
    Act.ANSWER_AT_ONCE: "ticket.answered_at_once",
    Act.TRANSFER: "ticket.transferred",
    Act.REPORT_UP: "ticket.reported_up",
    Act.DECIDE: "ticket.decided",
    Act.DISPATCH: "ticket.dispatched",
    Act.SIGN: "ticket.signed",
    Act.PROPOSE_RETURN: "return.proposed",
    Act.UPHOLD_RETURN: "return.upheld",
    Act.REJECT_RETURN: "return.rejected",
    Act.CONVERT_TO_COMPLEX: "ticket.converted_to_complex",
    Act.REQUEST_EXTENSION: "extension.requested",
    Act.APPROVE_EXTENSION: "extension.approved",
    Act.REFUSE_EXTENSION: "extension.refused",
    Act.NOTIFY_EXTENSION: "extension.notified",
    Act.REPORT_PROGRESS: "ticket.progress_reported",
    Act.ANSWER_CITIZEN: "citizen.answered",
    Act.REPLY: "ticket.replied",
    Act.RELEASE_UNIT: "unit.released",
    Act.REVIEW_PASS: "reply.verified",
    Act.REVIEW_SEND_BACK: "reply.sent_back",
    Act.RECORD_CALLBACK: "callback.recorded",
    Act.UPHOLD_DISSATISFACTION: "ticket.redo_ordered",
    Act.DISMISS_DISSATISFACTION: "dissatisfaction.dismissed",
    Act.ARCHIVE: "ticket.archived",
    Act.MERGE: "ticket.merged",
    Act.WITHDRAW: "ticket.withdrawn",
    Act.HAND_OVER: "ticket.handed_over",
    Act.COORDINATE: "ticket.coordination_begun",
    Act.DESIGNATE: "lead.designated",
    Act.REMIND: "ticket.reminded",
    Act.FLAG: "unit.flagged",
    Act.UPDATE_KNOWLEDGE: "knowledge.updated",
    Act.ATTACH: "file.attached",
    Act.HOLD_RECORDING: "recording.held",
    Act.KEEP_CONFIDENTIAL: "ticket.made_confidential",
}
LAPSED: Final = "clock.lapsed"
RECORDING_DESTROYED: Final = "recording.destroyed"
MAIN_REPLIED: Final = "main_ticket.replied"


def row(
    kind: str,
    *,
    ticket_id: int,
    seq: int,
    platform_id: int,
    unit_id: int | None,
    data: dict[str, Any],
    at: datetime,
) -> dict[str, Any]:
    """One outbox row ready for insertion. `data` must hold no personal data of the caller."""
    return {
        "ticket_id": ticket_id,
        "ticket_seq": seq,
        "type": kind,
        "platform_id": platform_id,
        "unit_id": unit_id,
        "data": data,
        "occurred_at": at,
    }
