"""来电: what the telephony platform tells of a call, brought to the agent at whom it rings, with what the agent may know of the caller.

The caller's number is sealed like a ticket's. The agent is told it masked, and needs not type it: a ticket registered with the
call's `call_id` by the agent whose call it is takes the number and the instant of connection from here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, model_validator
from sqlalchemy import ColumnElement, delete, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import Session, col

from hotline.access import found_by_caller, visible_to
from hotline.auditing import audit
from hotline.case import Desk
from hotline.desks.tables import Call, Seat
from hotline.exchange import outbox
from hotline.fields import Code, Instant, Line, Order, Phone
from hotline.models import OutboxEvent, Ticket
from hotline.orders import Demand
from hotline.organisation import Person
from hotline.privacy.concealment import concealed_reference
from hotline.privacy.masking import Known
from hotline.privacy.sealing import of_call
from hotline.queue_rows import Row, rows_of
from workflow.errors import AccessRefused, OrderInvalid
from workflow.lifecycle import OPEN_STATES
from workflow.vocabulary import AuditKind, CallState, Role

Extension = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z\-]{1,20}$")]
LineNumber = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z+\-_. ]{1,40}$")]

LONGEST: Final = timedelta(hours=4)
"""A call nobody has told the end of is over by then."""

AFTER: Final = timedelta(minutes=30)
"""How long a call that has ended stays the agent's current one: the form is still being filled."""

NUMBERS_KEPT: Final = timedelta(days=180)
"""How long a caller's number is kept with a call; after that only that there was one."""

MOST_OF_ONE_CALL: Final = 9
"""Tickets one call is registered as, at most: a caller may have more than one thing to say."""

_REPEATED: Final = timedelta(days=30)
_HISTORY: Final = 10
_SKEW: Final = timedelta(minutes=2)


class CallReport(Order):
    """来电: one call as it stands now. Sent again when it is answered, passed on, over; what is left out stays as it was told before."""

    call_id: Line = Field(
        description="话务平台的通话标识，登记工单时随 call_id 送回", examples=["20260302-000871"]
    )
    number: Phone | None = Field(
        default=None, description="主叫号码；隐藏号码的来电留空", examples=["13900000001"]
    )
    line: LineNumber | None = Field(default=None, description="被叫号码或线路", examples=["12345"])
    agent: Code | None = Field(default=None, description="话务员的登录名", examples=["xn-agent01"])
    extension: Extension | None = Field(default=None, description="分机；未给登录名时按签入的坐席找到话务员")
    ringing_at: Instant | None = Field(default=None, description="振铃时间，缺省为现在")
    answered_at: Instant | None = None
    ended_at: Instant | None = None
    recording: Line | None = Field(default=None, description="录音的编号或地址")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        told = [at for at in (self.ringing_at, self.answered_at, self.ended_at) if at is not None]
        if told != sorted(told):
            raise ValueError("振铃、接通、挂断的时间应依次在后")
        return self


class SeatOrder(Order):
    """坐席签入: the extension the agent sits at; left out, they leave it."""

    extension: Extension | None = Field(default=None, examples=["8001"])


def state_of(call: Call) -> CallState:
    """Where a call stands."""
    if call.ended_at is not None:
        return CallState.MISSED if call.answered_at is None else CallState.ENDED
    return CallState.RINGING if call.answered_at is None else CallState.CONNECTED


# --- told by the telephony platform --------------------------------------------------------------------------------------


def report(desk: Desk, order: CallReport, platform_id: int | None = None) -> Call:
    """Keep what the telephony platform tells of a call, and tell the agent's screens. The caller commits.

    Raises `AccessRefused` for a person, `OrderInvalid` naming the field.
    """
    home = platform_id or desk.actor.platform_id
    if desk.actor.kind == "person" or desk.actor.is_unit or home is None:
        raise AccessRefused("来电由话务平台的接口报送。")
    for name in ("ringing_at", "answered_at", "ended_at"):
        told_at: datetime | None = getattr(order, name)
        if told_at is not None and told_at > desk.at + _SKEW:
            raise OrderInvalid("时间晚于现在，请核对话务平台的时钟。", field=name)
    call, new = _kept(desk, order, home)
    was_for, before = call.agent_id, state_of(call)
    _take_in(desk, call, order)
    if call.agent_id is not None and (new or call.agent_id != was_for or state_of(call) is not before):
        _tell(desk, call)
    return call


def _kept(desk: Desk, order: CallReport, platform_id: int) -> tuple[Call, bool]:
    """The call's row, locked, and whether this is the first word of it."""
    sealer = desk.office.sealer
    call_key = sealer.digest(order.call_id)
    known = Known(phone=order.number)
    begun = order.ringing_at or order.answered_at or order.ended_at or desk.at
    row = {
        "platform_id": platform_id,
        "call_key": call_key,
        "call_id": (concealed_reference(sealer, order.call_id, known) or "")[:100],
        "ringing_at": begun,
        "reported_at": desk.at,
    }
    made = desk.session.execute(
        upsert(Call.__table__).values(**row).on_conflict_do_nothing().returning(col(Call.id))  # type: ignore[attr-defined]
    ).first()
    found: Call = desk.session.execute(
        select(Call)
        .where(col(Call.platform_id) == platform_id, col(Call.call_key) == call_key)
        .with_for_update()
    ).scalar_one()
    return found, made is not None


def _take_in(desk: Desk, call: Call, order: CallReport) -> None:
    sealer = desk.office.sealer.pinned()
    if order.number is not None:
        call.caller_phone = sealer.seal(order.number, of_call(call.call_key))
        call.phone_index = sealer.index(order.number)
    if order.recording is not None:
        known = Known(phone=order.number)
        call.recording = (concealed_reference(desk.office.sealer, order.recording, known) or "")[:200]
    for name in ("line", "extension", "ringing_at", "answered_at", "ended_at"):
        if getattr(order, name) is not None:
            setattr(call, name, getattr(order, name))
    agent = _agent(desk, call.platform_id, order)
    if agent is not None:
        call.agent_id = agent
    desk.session.add(call)
    desk.session.flush()


def _agent(desk: Desk, platform_id: int, order: CallReport) -> int | None:
    if order.agent is not None:
        person = desk.session.execute(
            select(Person).where(col(Person.login) == order.agent)
        ).scalar_one_or_none()
        suited = person is not None and person.active and person.platform_id == platform_id
        if person is None or not suited or Role.AGENT.value not in person.roles:
            raise OrderInvalid(f"本平台没有登录名为 {order.agent} 的在岗话务员。", field="agent")
        return int(person.id)
    if order.extension is None:
        return None
    seated = select(col(Seat.person_id)).where(
        col(Seat.platform_id) == platform_id, col(Seat.extension) == order.extension
    )
    found: int | None = desk.session.execute(seated).scalar_one_or_none()
    return found


_KINDS: Final = {
    CallState.RINGING: outbox.CALL_RINGING,
    CallState.CONNECTED: outbox.CALL_ANSWERED,
    CallState.ENDED: outbox.CALL_ENDED,
    CallState.MISSED: outbox.CALL_ENDED,
}


def _tell(desk: Desk, call: Call) -> None:
    """To the agent's screens, by the person's key; nothing of the number."""
    state = state_of(call)
    row = outbox.row(
        _KINDS[state],
        ticket_id=None,
        seq=None,
        platform_id=call.platform_id,
        unit_id=None,
        data={"call": call.id, "person": call.agent_id, "state": state.value},
        at=desk.at,
    )
    desk.session.execute(insert(OutboxEvent.__table__), [row])  # type: ignore[attr-defined]


def sit_down(desk: Desk, order: SeatOrder) -> Seat | None:
    """坐席签入 or, without an extension, 签出: calls that ring at the extension are this agent's. The caller commits."""
    actor = desk.actor
    if actor.kind != "person" or actor.id is None or actor.platform_id is None:
        raise AccessRefused("坐席由话务员本人签入。")
    desk.session.execute(delete(Seat).where(col(Seat.person_id) == actor.id))
    if order.extension is None:
        return None
    seat = Seat(platform_id=actor.platform_id, extension=order.extension, person_id=actor.id, since=desk.at)
    desk.session.execute(
        upsert(Seat.__table__)  # type: ignore[attr-defined]
        .values(**seat.model_dump())
        .on_conflict_do_update(
            index_elements=["platform_id", "extension"], set_={"person_id": actor.id, "since": desk.at}
        )
    )
    return seat


# --- at the agent's desk ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """A call as its agent is shown it: the caller's number in full, to be masked; the tickets registered from it; the caller's others.

    `calls` and `tickets` count those of the last 30 days, this call not among them.
    """

    call: Call
    number: str | None
    registered: list[str]
    calls: int
    tickets: int
    open: list[Row]
    history: list[Row]


def current(desk: Desk) -> Shown | None:
    """The call that rings at this agent, or that they are or were just on; None where there is none. The first look is recorded.

    The caller commits.
    """
    found = desk.session.execute(
        select(Call)
        .where(
            col(Call.agent_id) == desk.actor.id,
            col(Call.ringing_at) > desk.at - LONGEST,
            or_(col(Call.ended_at).is_(None), col(Call.ended_at) > desk.at - AFTER),
        )
        .order_by(col(Call.ended_at).is_not(None), col(Call.ringing_at).desc(), col(Call.id).desc())
        .limit(1)
    ).scalar_one_or_none()
    if found is None or desk.actor.kind != "person":
        return None
    shown = _with_caller(desk, found)
    first = (
        update(Call).where(col(Call.id) == found.id, col(Call.shown_at).is_(None)).values(shown_at=desk.at)
    )
    if desk.session.execute(first.returning(col(Call.id))).first() is not None:
        audit.record(
            desk.session,
            AuditKind.CALL_SHOWN,
            at=desk.at,
            actor=desk.actor,
            platform_id=found.platform_id,
            what={"call": found.id, "found": len(shown.history)},
            algorithm=desk.office.policy.algorithm,
        )
    return shown


def _with_caller(desk: Desk, call: Call) -> Shown:
    number = number_of(desk, call)
    registered = desk.session.execute(
        select(col(Ticket.number))
        .where(
            col(Ticket.platform_id) == call.platform_id,
            col(Ticket.call_id).in_(names_of(call.call_id)),
            visible_to(desk.actor),
        )
        .order_by(col(Ticket.id))
    ).scalars()
    alone = Shown(call, number, list(registered), 0, 0, [], [])
    if number is None:
        return alone
    indexes = desk.office.sealer.indexes(number)
    own = (col(Ticket.phone_index).in_(indexes), visible_to(desk.actor), found_by_caller(desk.actor))
    since = desk.at - _REPEATED
    history = _newest(desk, own)
    return replace(
        alone,
        calls=_count(
            desk.session,
            select(Call.id).where(  # type: ignore[call-overload]
                col(Call.phone_index).in_(indexes),
                col(Call.platform_id) == call.platform_id,
                col(Call.ringing_at) > since,
                col(Call.id) != call.id,
            ),
        ),
        tickets=_count(desk.session, select(Ticket.id).where(*own, col(Ticket.received_at) > since)),  # type: ignore[call-overload]
        open=_newest(desk, (*own, col(Ticket.state).in_(sorted(OPEN_STATES)))),
        history=history,
    )


def _newest(desk: Desk, tests: Sequence[ColumnElement[bool]]) -> list[Row]:
    found = desk.session.execute(
        select(Ticket)
        .where(*tests)
        .order_by(col(Ticket.received_at).desc(), col(Ticket.id).desc())
        .limit(_HISTORY)
    ).scalars()
    return rows_of(desk.session, desk.actor, list(found))


def _count(session: Session, what: object) -> int:
    return int(session.execute(select(func.count()).select_from(what.limit(1000).subquery())).scalar_one())  # type: ignore[attr-defined]


def number_of(desk: Desk, call: Call) -> str | None:
    """The caller's number of a call, opened; None where it was withheld, or is kept no more. Raises `SealBroken`."""
    return desk.office.sealer.open(call.caller_phone, of_call(call.call_key))


def own_call(desk: Desk, call_id: int) -> Call | None:
    """The call with this key, if it is or was the acting agent's."""
    call = desk.session.get(Call, call_id)
    mine = call is not None and desk.actor.kind == "person" and call.agent_id == desk.actor.id
    return call if mine else None


# --- a ticket taken from a call --------------------------------------------------------------------------------------------


def named(desk: Desk, platform_id: int, call_id: str | None) -> Call | None:
    """The call of a platform a demand names, by the telephony platform's own name of it or as it is shown here."""
    if call_id is None:
        return None
    by_key = col(Call.call_key) == desk.office.sealer.digest(call_id)
    return desk.session.execute(
        select(Call)
        .where(col(Call.platform_id) == platform_id, or_(by_key, col(Call.call_id) == call_id))
        .order_by(col(Call.id).desc())
        .limit(1)
    ).scalar_one_or_none()


def names_of(call_id: str) -> list[str]:
    """What the tickets of one call are kept under: the call's own name, and with `#2` and so on for further demands told in it."""
    return [call_id, *(f"{call_id[:97]}#{n}" for n in range(2, MOST_OF_ONE_CALL + 1))]


def completed(desk: Desk, demand: Demand, call: Call | None) -> tuple[Demand, list[str]]:
    """The demand with what its call knows and it leaves out, and what that was: the instant of receipt, which is that of the connection
    (art. 14(2)), and, for the agent whose call it is, the caller's number."""
    if call is None:
        return demand, []
    given: dict[str, object] = {}
    if demand.received_at is None:
        given["received_at"] = min(call.answered_at or call.ringing_at, desk.at)
    if demand.caller.phone is None and desk.actor.kind == "person" and call.agent_id == desk.actor.id:
        number = number_of(desk, call)
        if number is not None:
            given["caller"] = demand.caller.model_copy(update={"phone": number})
    return demand.model_copy(update=given), sorted(given)


# --- forgotten -------------------------------------------------------------------------------------------------------------


def forget_numbers(session: Session, as_of: datetime, *, batch: int = 1000) -> int:
    """Drop the numbers of calls older than `NUMBERS_KEPT`; returns how many. The caller commits."""
    dropped = session.execute(
        text(
            "UPDATE calls SET caller_phone = NULL, phone_index = NULL WHERE id IN"
            " (SELECT id FROM calls WHERE caller_phone IS NOT NULL AND ringing_at < :before LIMIT :batch FOR UPDATE SKIP LOCKED)"
        ),
        {"before": as_of - NUMBERS_KEPT, "batch": batch},
    )
    return int(dropped.rowcount)  # type: ignore[attr-defined]
