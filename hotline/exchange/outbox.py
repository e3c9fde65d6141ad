"""Facts for subscribers, written in the transaction of the act they speak of; and how something is sent out, signed.

Besides the OpenID Connect sign-in nothing else sends HTTP; `hotline.exchange.wire` says whom it may reach (SSRF) and for how long.
"""

import base64
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from standardwebhooks import Webhook

from hotline.exchange.wire import Answer as Answer
from hotline.exchange.wire import Lines
from hotline.exchange.wire import SendFailed as SendFailed
from hotline.exchange.wire import TargetRefused as TargetRefused
from workflow.errors import OrderInvalid
from workflow.vocabulary import Act, VersionState

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
KNOWLEDGE: Final[dict[VersionState, str]] = {
    VersionState.PUBLISHED: "knowledge.published",
    VersionState.WITHDRAWN: "knowledge.withdrawn",
}
ALERT_RAISED: Final = "audit.alert_raised"
DUE_SOON: Final = "clock.due_soon"
CLOCK_MOVED: Final = "clock.moved"
MERGED_IN: Final = "ticket.merged_in"
KNOWLEDGE_REQUESTED: Final = "knowledge.requested"
ACCOUNTABILITY_ISSUED: Final = "accountability.issued"
CALL_RINGING: Final = "call.ringing"
CALL_ANSWERED: Final = "call.answered"
CALL_ENDED: Final = "call.ended"
CALLS: Final = frozenset({CALL_RINGING, CALL_ANSWERED, CALL_ENDED})
EVALUATED: Final = "ticket.evaluated"
APPEALED: Final = "ticket.appealed"
REPORT_DRAFTED: Final = "report.drafted"
REPORT_DUE_SOON: Final = "report.due_soon"
REPORT_LAPSED: Final = "report.lapsed"
REPORT_FILED: Final = "report.filed"
ECHOED: Final = frozenset(
    {
        EVENTS[Act.RECORD_CALLBACK],
        EVENTS[Act.DISMISS_DISSATISFACTION],
        EVENTS[Act.ANSWER_CITIZEN],
        EVENTS[Act.COORDINATE],
        EVENTS[Act.KEEP_CONFIDENTIAL],
        EVENTS[Act.MERGE],
        EVENTS[Act.WITHDRAW],
        EVENTS[Act.ARCHIVE],
    }
)
"""Facts about a ticket as a whole that every unit with a part in it is told too."""


def row(
    kind: str,
    *,
    ticket_id: int | None,
    seq: int | None,
    platform_id: int,
    unit_id: int | None,
    data: dict[str, Any],
    at: datetime,
    echo: bool = False,
) -> dict[str, Any]:
    """One outbox row ready for insertion. `data` must hold no personal data of the caller.

    `echo`: a unit's copy of a fact about the ticket as a whole, which the platform has in a row of its own.
    """
    return {
        "ticket_id": ticket_id,
        "ticket_seq": seq,
        "type": kind,
        "platform_id": platform_id,
        "unit_id": unit_id,
        "data": data,
        "occurred_at": at,
        "echo": echo,
    }


# --- sending -----------------------------------------------------------------------------------------------------------

TIMEOUT_SECONDS: Final = 10.0
MOST_ANSWERED: Final = 32 * 1024 * 1024
"""Bytes of an answer that are read; a longer one is a failure."""

TOLERANCE: Final = timedelta(minutes=5)
"""How far the instant of a signed message may lie from now."""


def make_secret() -> str:
    """A new secret for signing, as Standard Webhooks writes it: `whsec_` and 32 bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(secret: str) -> None:
    """That both sides can sign with it: `whsec_` and base64 of at least 24 bytes. Raises `OrderInvalid` (field `secret`)."""
    try:
        content = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        content = b""
    if not secret.startswith("whsec_") or len(content) < 24:
        raise OrderInvalid("密钥应为 whsec_ 开头、至少 24 字节的 Base64。", field="secret")


def signed_headers(secret: str | Sequence[str], message_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """The three headers of Standard Webhooks for a message sent at `at` (aware); signed with each secret, the newest first."""
    moment = at.astimezone(UTC)
    text = body.decode()
    signatures = [
        Webhook(each).sign(message_id, moment, text)
        for each in ([secret] if isinstance(secret, str) else secret)
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, at: datetime) -> bool:
    """Whether a message bears a signature made with `secret` not more than five minutes from `at`."""
    message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "")
    if not (message_id and stamp.isascii() and stamp.isdigit() and len(stamp) <= 11):
        return False
    sent = datetime.fromtimestamp(int(stamp), UTC)
    if abs(at - sent) > TOLERANCE:
        return False
    try:
        expected = signed_headers(secret, message_id, body, sent)["webhook-signature"]
    except UnicodeDecodeError:
        return False
    return any(hmac.compare_digest(expected.encode(), each.encode()) for each in given.split(" ")[:10])


def send_signed(
    url: str,
    secret: str,
    message_id: str,
    body: bytes,
    *,
    at: datetime,
    allow_private: bool = False,
    timeout: float = TIMEOUT_SECONDS,
) -> Answer:
    """POST JSON to `url`, signed. `at` (aware) is the message's instant, `timeout` in seconds.

    Raises `TargetRefused`, `SendFailed` (also for any status but 2xx).
    """
    headers = signed_headers(secret, message_id, body, at) | {"content-type": "application/json"}
    answer = request("POST", url, headers=headers, body=body, allow_private=allow_private, timeout=timeout)
    if not 200 <= answer.status < 300:
        raise SendFailed(f"对方返回 {answer.status}")
    return answer


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    allow_private: bool = False,
    timeout: float = TIMEOUT_SECONDS,
) -> Answer:
    """One HTTP request on a connection of its own; the whole answer must be there within three times `timeout` (seconds).

    Raises `TargetRefused`, `SendFailed`.
    """
    lines = Lines(allow_private=allow_private, allow_plain=True)
    try:
        return lines.send(
            method, url, headers=headers or {}, body=body or b"", seconds=3 * timeout, most=MOST_ANSWERED
        )
    finally:
        lines.close()
