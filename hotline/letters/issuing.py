"""督办函 issued: one letter to each unit that still owes something on the tickets chosen, and the reminder of each ticket with it (art. 14(8))."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import Field
from sqlalchemy import func, select, text
from sqlmodel import Session, col

from hotline import numbers
from hotline.access import Actor
from hotline.batches import among, lock
from hotline.calendars import newest_version
from hotline.case import Case, Desk
from hotline.clocks import stamp_lapses
from hotline.desk import act
from hotline.fields import Number, Order, Prose
from hotline.letters.tables import Letter
from hotline.models import Assignment, Clock, Reminder, Ticket
from hotline.organisation import Category, OrgUnit, Platform
from hotline.privacy.masking import mask_text
from hotline.queues import FilterWords, filters_of, matching
from workflow.deadlines import local_day
from workflow.errors import AccessRefused, LimitExceeded, NotFound, OrderInvalid
from workflow.lifecycle import open_acts
from workflow.statute import cite
from workflow.vocabulary import Act, ReminderForm

ARTICLE: Final = "14(8)"
MOST: Final = 300
"""Tickets one order speaks of."""

_NUMBERING: Final = 12345_011


class LettersOrder(Order):
    """批量督办: to the units that owe something on these tickets, or on those of a list."""

    form: ReminderForm = Field(default=ReminderForm.WRITTEN_NOTICE, title="督办方式")
    numbers: list[Number] = Field(
        default=[], max_length=MOST, title="工单编号", description="与 filter 二选一"
    )
    filter: FilterWords | None = Field(
        default=None, title="工单条件", description="与 GET /tickets 的条件相同；与 numbers 二选一"
    )
    content: Prose | None = Field(default=None, title="督办意见", description="每封函都写上的话")


@dataclass(frozen=True, slots=True)
class Issued:
    """The letters of one order, and the tickets none was written for: nothing is owed by a unit, or they are another platform's."""

    letters: list[Letter]
    left_out: list[str]


Owing = dict[int, list[tuple[Case, Assignment, list[Clock]]]]
"""Of each unit the tickets it owes something on, its part, and what is running."""


def issue(desk: Desk, order: LettersOrder) -> Issued:
    """批量督办: letters, reminders, ledger entries and events in one transaction, which the caller commits. It moves no date.

    Raises `OrderInvalid` where neither or both of numbers and filter are given, or nothing is owed; `LimitExceeded` beyond 300 tickets; `NotFound`.
    """
    if desk.actor.platform_id is None:
        raise AccessRefused("督办函由热线平台发出。", article=ARTICLE)
    ids = _chosen(desk, order)
    cases = lock(desk.session, ids, skip_locked=False)
    _with_parts(desk.session, cases.values())
    desk.office.calendars.at(desk.session, newest_version(desk.session))
    of_unit = order.filter.owed_by or order.filter.unit if order.filter is not None else None
    owing, left_out = _owing(desk, [cases[key] for key in sorted(cases)], of_unit)
    if not owing:
        raise OrderInvalid(
            "所选工单中没有承办单位仍在办理的，无需发督办函。", article=ARTICLE, field="numbers"
        )
    words = mask_text(order.content) if order.content is not None else None
    letters = [_to_unit(desk, unit_id, owing[unit_id], order.form, words) for unit_id in sorted(owing)]
    return Issued(letters, left_out)


def _chosen(desk: Desk, order: LettersOrder) -> list[int]:
    if bool(order.numbers) == (order.filter is not None):
        raise OrderInvalid("请给出工单编号（numbers）或工单条件（filter）之一。", field="numbers")
    if order.filter is not None:
        wanted = matching(desk.actor, filters_of(order.filter, desk.at))
        found = desk.session.execute(select(col(Ticket.id)).where(*wanted).limit(MOST + 1)).scalars().all()
        if len(found) > MOST:
            raise LimitExceeded(f"符合条件的工单超过 {MOST} 件，请缩小范围，分批发出。", field="filter")
        return list(found)
    named = list(dict.fromkeys(numbers.parse(number) for number in order.numbers))
    rows = select(col(Ticket.number), col(Ticket.id)).where(
        col(Ticket.number).in_(named), *matching(desk.actor, filters_of(FilterWords(), desk.at))
    )
    known = dict(map(tuple, desk.session.execute(rows)))
    for number in named:
        if number not in known:
            raise NotFound(
                f"没有编号为 {numbers.spoken(number)} 的工单，或不在您的权限范围内。", field="numbers"
            )
    return [known[number] for number in named]


def _with_parts(session: Session, cases: Iterable[Case]) -> None:
    by_ticket = {case.ticket.id: case for case in cases}
    parts = select(Assignment).where(col(Assignment.ticket_id) == among(by_ticket))
    for part in session.execute(parts.order_by(col(Assignment.id))).scalars():
        by_ticket[part.ticket_id].assignments.append(part)


def _owing(desk: Desk, cases: Sequence[Case], of_unit: str | None) -> tuple[Owing, list[str]]:
    owing: Owing = {}
    left_out = []
    for case in cases:
        allowed = Act.REMIND in open_acts(case.ticket.state, desk.actor.roles)
        parts = []
        if allowed and case.ticket.platform_id == desk.actor.platform_id:
            stamp_lapses(desk, case)
            parts = [(part, _running(case, part)) for part in case.open_parts()]
            parts = [
                (part, clocks)
                for part, clocks in parts
                if clocks and of_unit in (None, desk.office.directory.code(desk.session, part.unit_id))
            ]
        if not parts:
            left_out.append(case.ticket.number)
        for part, clocks in parts:
            owing.setdefault(part.unit_id, []).append((case, part, clocks))
    return owing, left_out


def _running(case: Case, part: Assignment) -> list[Clock]:
    return [clock for clock in case.running(of=part) if clock.duty]


def _to_unit(
    desk: Desk,
    unit_id: int,
    owed: Sequence[tuple[Case, Assignment, list[Clock]]],
    form: ReminderForm,
    words: str | None,
) -> Letter:
    assert desk.actor.platform_id is not None
    unit = desk.session.get_one(OrgUnit, unit_id)
    items = [_item(desk, case, clock) for case, _, clocks in owed for clock in clocks]
    items.sort(key=lambda item: (item["due_on"], item["number"]))
    year, number = _next_number(desk, desk.actor.platform_id)
    late = sum(item["late"] for item in items)
    head = f"督办函〔{year}〕{number}号：{len(items)} 项时限未完成，其中逾期 {late} 项，请立即办理（办法第十四条第（八）项）"
    listed = "；".join(f"{item['number']} {item['label']}应于{item['due_on']}完成" for item in items)
    reminder = Reminder(
        platform_id=desk.actor.platform_id,
        unit_id=unit_id,
        ticket_id=owed[0][0].ticket.id if len(owed) == 1 else None,
        form=form,
        content=f"{head}：{listed}。" + (f"督办意见：{words}" if words else ""),
        clocks=[{name: item[name] for name in ("number", "kind", "due_on", "article")} for item in items],
        sent_by=desk.actor.name,
        created_at=desk.at,
    )
    desk.session.add(reminder)
    desk.session.flush()
    letter = Letter(
        platform_id=desk.actor.platform_id,
        unit_id=unit_id,
        reminder_id=reminder.id,
        year=year,
        number=number,
        content={
            "issuer": desk.session.get_one(Platform, desk.actor.platform_id).name,
            "unit": unit.name,
            "unit_code": unit.code,
            "form": form.value,
            "words": words,
            "items": items,
        },
        issued_by=desk.actor.name,
        issued_at=desk.at,
    )
    desk.session.add(letter)
    desk.session.flush()
    for case, part, _ in owed:
        payload = {"form": form.value, "reminder": reminder.id, "letter": letter.id} | (
            {"content": words} if words else {}
        )
        act(desk, case, Act.REMIND, about=part, payload=payload)
    return letter


def _item(desk: Desk, case: Case, clock: Clock) -> dict[str, Any]:
    today = local_day(desk.at)
    category = desk.session.get(Category, case.ticket.category_code)
    return {
        "number": case.ticket.number,
        "matter": case.ticket.matter.value,
        "category": category.name if category is not None else case.ticket.category_code,
        "kind": clock.kind.value,
        "label": clock.kind.label,
        "article": clock.article,
        "cited": cite(clock.article),
        "opened_on": local_day(clock.opened_at).isoformat(),
        "due_on": clock.due_on.isoformat(),
        "late": clock.lapsed_at is not None,
        "days_late": max(0, (today - clock.due_on).days) if clock.lapsed_at is not None else 0,
    }


def _next_number(desk: Desk, platform_id: int) -> tuple[int, int]:
    """The platform's next letter of the year, gapless: whoever is first has it until they commit."""
    year = local_day(desk.at).year
    desk.session.execute(
        text("SELECT pg_advisory_xact_lock(:key, :of)"), {"key": _NUMBERING, "of": platform_id}
    )
    last = select(func.max(col(Letter.number))).where(
        col(Letter.platform_id) == platform_id, col(Letter.year) == year
    )
    return year, (desk.session.execute(last).scalar_one() or 0) + 1


# --- reading -----------------------------------------------------------------------------------------------------------------


def _mine(actor: Actor) -> Any:
    if actor.is_unit:
        return col(Letter.unit_id) == actor.unit_id
    return col(Letter.platform_id).in_(sorted(actor.platform_ids))


def listed(
    session: Session, actor: Actor, *, limit: int, before: int | None
) -> tuple[list[Letter], int | None]:
    """The newest letters to the actor's unit, or of the platforms the actor sees, and the key the next page is asked with."""
    found = select(Letter).where(_mine(actor))
    if before is not None:
        found = found.where(col(Letter.id) < before)
    rows = list(session.execute(found.order_by(col(Letter.id).desc()).limit(limit + 1)).scalars())
    page = rows[:limit]
    return page, page[-1].id if len(rows) > limit else None


def found(session: Session, actor: Actor, letter_id: int) -> Letter:
    """One letter. Raises `NotFound`."""
    letter: Letter | None = session.execute(
        select(Letter).where(col(Letter.id) == letter_id, _mine(actor))
    ).scalar_one_or_none()
    if letter is None:
        raise NotFound("没有这份督办函，或不在您的权限范围内。", field="letter")
    return letter
