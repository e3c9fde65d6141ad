"""From the call to a decision: register, accept, refuse, answer at once, transfer, report up, decide, merge. Art. 10-12, 14(1)(2)."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import bindparam, func, select, update
from sqlmodel import col

from hotline import numbers
from hotline.case import Case, Desk, Home, record, tell, write
from hotline.clocks import open_clock, void
from hotline.desk import act, newborn, take_up, take_up_id
from hotline.desks import calls, text_search
from hotline.desks.tables import Call, Likeness
from hotline.exchange import outbox
from hotline.fields import Order, instant
from hotline.ledger import text_digest
from hotline.models import Ticket
from hotline.orders import (
    AcceptOrder,
    AnswerOrder,
    DecideOrder,
    Demand,
    MergeOrder,
    RefuseOrder,
    ReportUpOrder,
    TransferOrder,
)
from hotline.organisation import Area, CalendarVersion, Category, Platform
from hotline.privacy.concealment import conceal, conceal_demand, concealed_reference, known_by
from hotline.privacy.masking import Known
from hotline.privacy.sealing import of_caller
from hotline.storage.constant import Constant
from workflow.deadlines import Turn, local_day
from workflow.errors import NotFound, OrderInvalid, RuleBroken
from workflow.lifecycle import Facts
from workflow.vocabulary import Act, AssignmentStatus, ClockKind, Episode, Level, State

_OLDEST_RECEIPT = timedelta(days=366)


class AlreadyRegistered(RuleBroken):
    """The call was already registered as a ticket; `extra.number` is its number."""

    code = "already_registered"


def take(desk: Desk, demand: Demand, verb: Act, decision: Order, platform_id: int | None = None) -> Case:
    """Register a demand and decide on it at once, one act, one entry: register (decide later), accept, refuse,
    answer_at_once, transfer or report_up. Receipt's clocks run from `received_at`.

    Raises `OrderInvalid` naming the field, `AlreadyRegistered` for a call already registered.
    """
    return _born(desk, demand, platform_id, verb, decision)


def accept(desk: Desk, number: str, order: AcceptOrder) -> Case:
    """受理 a registered demand."""
    return _decide_alone(desk, take_up(desk, number), Act.ACCEPT, order)


def refuse(desk: Desk, number: str, order: RefuseOrder) -> Case:
    """不予受理 on one of the seven grounds, with explanation and guidance (art. 11, 12)."""
    return _decide_alone(desk, take_up(desk, number), Act.REFUSE, order)


def answer_at_once(desk: Desk, number: str, order: AnswerOrder) -> Case:
    """即时答复 from the knowledge base (art. 14(2))."""
    return _decide_alone(desk, take_up(desk, number), Act.ANSWER_AT_ONCE, order)


def transfer(desk: Desk, number: str, order: TransferOrder) -> Case:
    """转接 (art. 12)."""
    return _decide_alone(desk, take_up(desk, number), Act.TRANSFER, order)


def report_up(desk: Desk, number: str, order: ReportUpOrder) -> Case:
    """上报: for a decision (art. 12) or for coordination (art. 14(3))."""
    return _decide_alone(desk, take_up(desk, number), Act.REPORT_UP, order)


def decide(desk: Desk, number: str, order: DecideOrder) -> Case:
    """认定 by the superior: accept, refuse or transfer (art. 12)."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    facts = Facts(
        decided_accept=order.outcome == "accept",
        decided_refuse=order.outcome == "refuse",
        decided_transfer=order.outcome == "transfer",
    )
    payload: dict[str, Any] = {"outcome": order.outcome, "reason": order.reason}
    if order.refuse is not None and order.outcome == "refuse":
        payload |= _conclude(desk, case, order.refuse)
    if order.transfer is not None and order.outcome == "transfer":
        payload |= _conclude(desk, case, order.transfer)
    return act(
        desk, case, Act.DECIDE, facts=facts, turn=Turn(ends=order.outcome != "accept"), payload=payload
    )


def _decide_alone(desk: Desk, case: Case, verb: Act, order: Order) -> Case:
    """A decision on a registered demand; whoever takes it first becomes its first receiver (art. 14(1))."""
    if case.ticket.first_receiver_id is None and desk.actor.kind == "person":
        case.ticket.first_receiver_id = desk.actor.id
    order = conceal(desk, case, order)
    return act(desk, case, verb, payload=_conclude(desk, case, order))


def carries_others(desk: Desk, ticket: Ticket) -> bool:
    """Whether other callers' demands were merged into this ticket and still wait for it."""
    carried = select(col(Ticket.id)).where(
        col(Ticket.merged_into_id) == ticket.id, col(Ticket.state) == State.MERGED
    )
    return ticket.id is not None and desk.session.execute(carried.limit(1)).first() is not None


def _conclude(desk: Desk, case: Case, order: Order) -> dict[str, Any]:
    """What the order leaves on the ticket, and the ledger's payload for it."""
    ticket = case.ticket
    ends = isinstance(order, RefuseOrder | AnswerOrder | TransferOrder)
    if ends and carries_others(desk, ticket):
        raise OrderInvalid(
            "该工单并有其他来电人的诉求，须派单办理后逐一答复和回访，不能就此办结。", article="14(3)"
        )
    match order:
        case RefuseOrder():
            ground = case.statute.refusal_ground(order.ground)
            if ground.transfer_instead:
                raise OrderInvalid(
                    f"“{ground.label}”应当及时转接有关平台处理，不能仅作不予受理；请使用转接。",
                    article="11(5)",
                    field="ground",
                )
            ticket.outcome, ticket.ended_at = order.explanation, desk.at
            return {"ground": ground.key, "ground_article": ground.article} | order.model_dump(
                include={"explanation", "guidance"}
            )
        case AnswerOrder():
            ticket.outcome, ticket.ended_at, ticket.knowledge_told = (
                order.answer,
                desk.at,
                order.knowledge_version,
            )
            return {"knowledge_version": order.knowledge_version, "answer_sha256": text_digest(order.answer)}
        case TransferOrder():
            ticket.outcome, ticket.ended_at = order.explanation, desk.at
            return {
                "target": order.target.value,
                "target_name": order.target_name,
                "explanation": order.explanation,
            }
        case ReportUpOrder():
            return {"reason": order.reason}
        case _:
            return {}


def _born(desk: Desk, demand: Demand, platform_id: int | None, verb: Act, decision: Order) -> Case:
    found = _reception(desk, demand, platform_id)
    call = calls.named(desk, found.home.id, demand.call_id)
    demand, from_call = calls.completed(desk, demand, call)
    received_at = instant(demand.received_at, desk.at)
    known = known_by(demand.caller)
    call_id, external_ref, originals = _references(desk, demand, known, call)
    _check_receipt(desk, demand, received_at, found)
    if call_id is not None:
        call_id = _free_name(desk, found.home.id, call_id, another=demand.another)
    demand, decision, typed = conceal_demand(demand, decision, known)
    number = numbers.written(found.code, local_day(desk.at), found.sequence)
    sealer = desk.office.sealer.pinned()
    ticket = Ticket(
        id=found.ticket_id,
        number=number,
        platform_id=found.home.id,
        state=State.PENDING_DECISION,
        matter=demand.matter,
        channel=demand.channel,
        category_code=demand.category,
        area_code=demand.area,
        title=demand.title,
        content=demand.content,
        received_at=received_at,
        created_at=desk.at,
        first_receiver_id=desk.actor.id if desk.actor.kind == "person" else None,
        caller_name=sealer.seal(known.name, of_caller("caller_name", number)),
        caller_phone=sealer.seal(known.phone, of_caller("caller_phone", number)),
        caller_address=sealer.seal(known.address, of_caller("caller_address", number)),
        caller_id_number=sealer.seal(known.id_number, of_caller("caller_id_number", number)),
        phone_index=sealer.index(demand.caller.phone),
        confidential=demand.caller.confidential,
        call_id=call_id,
        external_ref=external_ref,
        episode=Episode.FIRST,
        ledger_head=b"",
    )
    case = newborn(desk, found.home, ticket, found.calendar_version)
    case.known, case.originals = known, originals | typed
    payload = _conclude(desk, case, decision) | {
        "channel": demand.channel.value,
        "matter": demand.matter.value,
        "category": demand.category,
        "area": demand.area,
        "received_at": received_at.isoformat(),
        "content_sha256": text_digest(demand.title + "\n" + demand.content),
    }
    if from_call:
        payload["from_call"] = from_call
    case.beside = [(Likeness.__table__, [text_search.kept_beside(ticket)])]  # type: ignore[attr-defined]
    act(desk, case, verb, payload=payload)
    return case


def _references(
    desk: Desk, demand: Demand, known: Known, call: Call | None
) -> tuple[str | None, str | None, dict[str, str]]:
    """The other systems' numbers as they are kept, and the originals of those that held personal data."""
    originals: dict[str, str] = {}
    kept: dict[str, str | None] = {}
    for name in ("call_id", "external_ref"):
        given = getattr(demand, name)
        kept[name] = concealed_reference(desk.office.sealer, given, known)
        if name == "call_id" and call is not None:
            kept[name] = call.call_id
        if given is not None and kept[name] != given:
            originals[f"demand.{name}"] = given
    return kept["call_id"], kept["external_ref"], originals


@dataclass(frozen=True, slots=True)
class _Reception:
    """What is looked up to register a demand: where, and the key and number its ticket will bear. Those not used in the end leave a gap."""

    home: Home
    code: str
    category_level: int | None
    category_active: bool | None
    area_code: str | None
    calendar_version: int
    ticket_id: int
    sequence: int


_RECEPTION: Final = Constant(
    select(
        *(col(name) for name in (Platform.id, Platform.pack, Platform.level, Platform.parent_id)),
        col(Platform.code),
        col(Category.level),
        col(Category.active),
        col(Area.code),
        select(func.coalesce(func.max(col(CalendarVersion.id)), 0)).scalar_subquery(),
        func.nextval("tickets_id_seq"),
        func.nextval(numbers.sequence_of(col(Platform.code))),
    )
    .select_from(Platform)
    .outerjoin(Category, col(Category.code) == bindparam("category"))
    .outerjoin(Area, col(Area.code) == bindparam("area"))
    .where(col(Platform.id) == bindparam("platform"))
)


def _reception(desk: Desk, demand: Demand, platform_id: int | None) -> _Reception:
    """Everything registering looks up, in one statement. Raises `OrderInvalid` where the actor may not register at that platform."""
    wanted = platform_id or desk.actor.platform_id
    if wanted is None or wanted not in desk.actor.platform_ids:
        raise OrderInvalid("请指明受理的热线平台；您只能在自己的平台登记诉求。", field="platform")
    values = {"platform": wanted, "category": demand.category, "area": demand.area}
    key, pack, level, parent_id, *rest = _RECEPTION.first(desk.session, values)
    return _Reception(Home(key, pack, Level(level), parent_id), *rest)


def _check_receipt(desk: Desk, demand: Demand, received_at: Any, found: _Reception) -> None:
    if received_at > desk.at:
        raise OrderInvalid("接通（提交）时间晚于现在。", field="received_at")
    if desk.at - received_at > _OLDEST_RECEIPT:
        raise OrderInvalid("接通（提交）时间早于一年前，请核对。", field="received_at")
    if not found.category_active or found.category_level != 3:
        raise OrderInvalid(f"诉求分类 {demand.category} 不存在、已停用或不是第三级分类。", field="category")
    if found.area_code is None:
        raise OrderInvalid(f"行政区划 {demand.area} 不存在。", field="area")


def _free_name(desk: Desk, platform_id: int, call_id: str, *, another: bool) -> str:
    """What this ticket keeps as its call's name; once a call, but for `another` demand told in it. Raises `AlreadyRegistered`."""
    desk.session.execute(select(func.pg_advisory_xact_lock(_call_lock(platform_id, call_id))))
    names = calls.names_of(call_id)
    rows = desk.session.execute(
        select(col(Ticket.call_id), col(Ticket.number)).where(
            col(Ticket.platform_id) == platform_id, col(Ticket.call_id).in_(names)
        )
    )
    taken = {row.call_id: row.number for row in rows}
    free = [name for name in names if name not in taken]
    if len(free) == len(names) or (another and free):
        return free[0]
    number = next(taken[name] for name in names if name in taken)
    said = f"该通话已登记为工单 {numbers.spoken(number)}"
    what = (
        f"，一次通话至多登记 {calls.MOST_OF_ONE_CALL} 件。"
        if another
        else "；来电人另有一件诉求的，请注明是另一件。"
    )
    raise AlreadyRegistered(said + what, field="call_id", extra={"number": number})


def _call_lock(platform_id: int, call_id: str) -> int:
    """The advisory lock under which one call is registered: who comes second finds the first one's ticket."""
    digest = hashlib.sha256(f"{platform_id}:{call_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


# --- merging ---------------------------------------------------------------------------------------------------------

_MERGING = 12345_003
CAN_CARRY = frozenset(
    {
        State.PENDING_DECISION,
        State.ACCEPTED,
        State.COORDINATING,
        State.DISPATCHED,
        State.HANDLING,
        State.RETURN_PROPOSED,
        State.SUPPLEMENTING,
        State.REDOING,
    }
)


def merge(desk: Desk, number: str, order: MergeOrder) -> Case:
    """并单: the duplicate keeps its caller, answer and callback, and runs no unit clock from now on.

    Merges of one platform happen one after the other, so that merges crosswise or in a ring cannot wait for each other; the main
    ticket is locked before its duplicates, as everywhere.
    Raises `OrderInvalid` (field `into`) if the main ticket cannot carry it.
    """
    platform_code = int(numbers.parse(number)[:2])
    desk.session.execute(select(func.pg_advisory_xact_lock(_MERGING, platform_code)))
    seen = desk.expected_version
    desk.expected_version = None
    main = _main(desk, order.into)
    desk.expected_version = seen
    if numbers.parse(number) == main.ticket.number:
        raise OrderInvalid("不能并入自身。", field="into")
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    if case.ticket.platform_id != main.ticket.platform_id:
        raise OrderInvalid("只能并入同一热线平台的工单。", field="into")
    if main.ticket.state not in CAN_CARRY:
        raise OrderInvalid(f"主单当前为“{main.ticket.state.label}”，不能再并入其他工单。", field="into")
    for part in case.open_parts():
        part.status, part.ended_at = AssignmentStatus.STOPPED, desk.at
    case.ticket.merged_into_id = main.ticket.id
    desk.session.execute(
        update(Ticket)
        .where(col(Ticket.merged_into_id) == case.ticket.id)
        .values(merged_into_id=main.ticket.id)
    )
    act(desk, case, Act.MERGE, payload={"into": main.ticket.number, "reason": order.reason})
    main.ticket.version += 1
    record(
        desk,
        main,
        "merged_in",
        before=main.ticket.state,
        article="14(3)",
        payload={"number": case.ticket.number},
    )
    tell(desk, main, outbox.MERGED_IN, None, {"merged": case.ticket.number})
    write(desk, main)
    return case


def _main(desk: Desk, number: str) -> Case:
    try:
        return take_up(desk, number)
    except NotFound as error:
        raise NotFound(error.message, field="into") from None


def merged_into(desk: Desk, main: Case) -> list[Case]:
    """The tickets merged into this one that are still waiting, each locked, in order."""
    ids = desk.session.execute(
        select(col(Ticket.id))
        .where(col(Ticket.merged_into_id) == main.ticket.id, col(Ticket.state) == State.MERGED)
        .order_by(col(Ticket.id))
    ).scalars()
    return [take_up_id(desk, ticket_id) for ticket_id in list(ids)]


def main_replied(desk: Desk, main: Case) -> None:
    """The main ticket's reply is in: every merged caller's own callback clock opens (art. 14(7))."""
    for child in merged_into(desk, main):
        for clock in child.running(ClockKind.CALLBACK):
            void(desk, child, clock, Act.REPLY)
        open_clock(desk, child, ClockKind.CALLBACK, Act.REPLY)
        child.ticket.version += 1
        payload = {"main": main.ticket.number}
        record(desk, child, "main_replied", before=child.ticket.state, article="14(7)", payload=payload)
        tell(desk, child, outbox.MAIN_REPLIED, None, {"main": main.ticket.number})
        write(desk, child)


def main_sent_back(desk: Desk, main: Case) -> None:
    """The main ticket's reply was sent back: the merged callers' callback clocks wait for the next reply (art. 14(6)(7))."""
    for child in merged_into(desk, main):
        running = child.running(ClockKind.CALLBACK)
        if not running:
            continue
        for clock in running:
            void(desk, child, clock, Act.REVIEW_SEND_BACK)
        child.ticket.version += 1
        record(
            desk,
            child,
            "main_sent_back",
            before=child.ticket.state,
            article="14(6)",
            payload={"main": main.ticket.number},
        )
        write(desk, child)
