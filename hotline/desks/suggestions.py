"""派单建议: units a ticket may be dispatched to, each with its reasons: the catalogue's row, what became of like tickets, returns.

Nothing is decided here: a person dispatches.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal

from sqlalchemy import select, text
from sqlmodel import col

from hotline.case import Case, Desk, Home
from hotline.desks import catalogue
from hotline.models import Ticket
from hotline.organisation import OrgUnit, Platform
from hotline.units import obstacle_to
from workflow.statute import load as load_pack

MOST: Final = 6
_SINCE: Final = timedelta(days=365)
_PAST: Final = 300
"""Of like tickets, the newest that are looked at."""

_ENOUGH: Final = 5
_CO_SHARE: Final = 0.2
_Kind = Literal["catalogue", "past", "named_instead", "returned", "returned_this"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a unit stands in the list, or what speaks against it (`warns`). Only what belongs to the kind is given."""

    kind: _Kind
    text: str
    warns: bool = False
    entry: int | None = None
    basis: str | None = None
    tickets: int | None = None
    on_time: float | None = None
    grounds: str | None = None


@dataclass(slots=True)
class Suggestion:
    """One unit as the lead, with co-units; `obstacle` says why it could not be dispatched to as things are."""

    unit: OrgUnit
    score: float = 0.0
    co_units: list[OrgUnit] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    obstacle: str | None = None


def suggested(desk: Desk, ticket: Ticket) -> list[Suggestion]:
    """Up to six units for a ticket the actor sees, the likeliest first."""
    found: dict[int, Suggestion] = {}
    _from_catalogue(desk, ticket, found)
    past, words = _past_ids(desk, ticket)
    _from_past(desk, ticket, past, words, found)
    _from_returns(desk, ticket, past, words, found)
    ranked = sorted(found.values(), key=lambda one: (-one.score, one.unit.code))[:MOST]
    platform = desk.session.get_one(Platform, ticket.platform_id)
    home = Home(platform.id, platform.pack, platform.level, platform.parent_id)
    case = Case(ticket, home, load_pack(platform.pack), [], [])
    for one in ranked:
        one.obstacle = obstacle_to(desk, case, one.unit)
    return sorted(ranked, key=lambda one: one.obstacle is not None)


def _of(found: dict[int, Suggestion], unit: OrgUnit) -> Suggestion:
    return found.setdefault(unit.id, Suggestion(unit))


def _from_catalogue(desk: Desk, ticket: Ticket, found: dict[int, Suggestion]) -> None:
    for place, duty in enumerate(
        catalogue.fitting(desk.session, ticket.platform_id, ticket.category_code, ticket.area_code)
    ):
        one = _of(found, duty.lead)
        if any(reason.kind == "catalogue" for reason in one.reasons):
            continue
        one.score += 2.0 if place == 0 else 0.3
        if place == 0:
            one.co_units = duty.co_units
        one.reasons.append(
            Reason("catalogue", f"派单目录：{duty.entry.basis}", entry=duty.entry.id, basis=duty.entry.basis)
        )


# --- what became of like tickets -------------------------------------------------------------------------------------------


def _past_ids(desk: Desk, ticket: Ticket) -> tuple[list[int], str]:
    """The newest tickets of the same category, or where they are few of the one above it, and how to speak of them."""
    ids: list[int] = []
    for size, words in ((6, "同类工单"), (4, "相近分类的工单")):
        low = ticket.category_code[:size]
        ids = list(
            desk.session.execute(
                select(col(Ticket.id))
                .where(
                    col(Ticket.platform_id) == ticket.platform_id,
                    col(Ticket.category_code) >= low,
                    col(Ticket.category_code) <= low + "9" * (6 - size),
                    col(Ticket.received_at) > desk.at - _SINCE,
                    col(Ticket.id) != ticket.id,
                )
                .order_by(col(Ticket.received_at).desc())
                .limit(_PAST)
            ).scalars()
        )
        if len(ids) >= _ENOUGH:
            return ids, words
    return ids, "相近分类的工单"


_HANDLED: Final = """
SELECT a.unit_id, count(DISTINCT a.ticket_id) AS tickets,
    count(DISTINCT a.ticket_id) FILTER (WHERE t.area_code LIKE :county) AS near,
    count(c.id) FILTER (WHERE c.met_at IS NOT NULL OR c.lapsed_at IS NOT NULL) AS due,
    count(c.id) FILTER (WHERE c.met_at IS NOT NULL AND c.lapsed_at IS NULL) AS in_time
FROM assignments a JOIN tickets t ON t.id = a.ticket_id
LEFT JOIN clocks c ON c.assignment_id = a.id AND c.kind = 'reply' AND c.voided_at IS NULL
WHERE a.ticket_id = ANY(:ids) AND a.role = 'lead' AND a.status NOT IN ('returned', 'released')
GROUP BY a.unit_id
"""
_WITH: Final = """
SELECT l.unit_id, c.unit_id AS co_unit_id, count(DISTINCT l.ticket_id) AS tickets
FROM assignments l JOIN assignments c ON c.ticket_id = l.ticket_id AND c.role = 'co' AND c.status NOT IN ('returned', 'released')
WHERE l.ticket_id = ANY(:ids) AND l.role = 'lead' AND l.status NOT IN ('returned', 'released')
GROUP BY l.unit_id, c.unit_id
"""


def _from_past(desk: Desk, ticket: Ticket, past: list[int], words: str, found: dict[int, Suggestion]) -> None:
    if not past:
        return
    county = ticket.area_code[:6] + "%"
    rows = desk.session.execute(text(_HANDLED), {"ids": past, "county": county}).all()
    units = _units(desk, {row.unit_id for row in rows})
    whole = sum(row.tickets for row in rows) or 1
    near = sum(row.near for row in rows)
    for row in rows:
        if row.unit_id not in units:
            continue
        one = _of(found, units[row.unit_id])
        share = row.near / near if near >= _ENOUGH else row.tickets / whole
        on_time = row.in_time / row.due if row.due else None
        one.score += share
        said = f"{words}曾由该单位牵头 {row.tickets} 件" + (f"，其中本区县 {row.near} 件" if row.near else "")
        said += f"，按期答复 {on_time:.0%}" if on_time is not None else ""
        one.reasons.append(Reason("past", said, tickets=row.tickets, on_time=on_time))
    _co_units(desk, past, {row.unit_id: row.tickets for row in rows}, found)


def _co_units(desk: Desk, past: list[int], led: Mapping[int, int], found: dict[int, Suggestion]) -> None:
    pairs = desk.session.execute(text(_WITH), {"ids": past}).all()
    units = _units(desk, {row.co_unit_id for row in pairs})
    for row in pairs:
        one = found.get(row.unit_id)
        often = row.tickets >= 2 and row.tickets / led.get(row.unit_id, row.tickets) >= _CO_SHARE
        if one is not None and often and row.co_unit_id in units:
            unit = units[row.co_unit_id]
            if all(other.id != unit.id for other in one.co_units) and unit.id != one.unit.id:
                one.co_units = [*one.co_units, unit]


_RETURNED: Final = """
SELECT DISTINCT ON (a.unit_id) a.unit_id, r.grounds, r.ticket_id,
    count(*) OVER (PARTITION BY a.unit_id) AS times,
    count(*) FILTER (WHERE r.upheld) OVER (PARTITION BY a.unit_id) AS upheld
FROM return_proposals r JOIN assignments a ON a.id = r.assignment_id
WHERE r.ticket_id = ANY(:ids)
ORDER BY a.unit_id, r.upheld DESC NULLS LAST, r.proposed_at DESC
"""
_NAMED_INSTEAD: Final = """
SELECT r.suggested_unit_id AS unit_id, count(*) AS times, max(r.suggestion) AS suggestion
FROM return_proposals r WHERE r.ticket_id = ANY(:ids) AND r.upheld AND r.suggested_unit_id IS NOT NULL
GROUP BY r.suggested_unit_id
"""


def _from_returns(
    desk: Desk, ticket: Ticket, past: list[int], words: str, found: dict[int, Suggestion]
) -> None:
    for ids, own in (([ticket.id], True), (past, False)):
        named_instead = desk.session.execute(text(_NAMED_INSTEAD), {"ids": ids}).all()
        units = _units(desk, {row.unit_id for row in named_instead})
        for row in named_instead:
            if row.unit_id in units:
                one = _of(found, units[row.unit_id])
                one.score += 1.5 if own else 0.2
                said = "本工单退单时" if own else f"{words}退单 {row.times} 次"
                one.reasons.append(Reason("named_instead", f"{said}经同意建议改派该单位", tickets=row.times))
        for row in desk.session.execute(text(_RETURNED), {"ids": ids}):
            known = found.get(row.unit_id)
            if known is not None:
                known.score -= 3.0 if own else min(0.8, 0.4 * row.upheld)
                known.reasons.append(_returned(row, words, own=own))


def _returned(row: Any, words: str, *, own: bool) -> Reason:
    if own:
        return Reason(
            "returned_this", "该单位已就本工单申请退单", warns=True, tickets=row.times, grounds=row.grounds
        )
    said = f"该单位曾就{words}申请退单 {row.times} 次，同意 {row.upheld} 次"
    return Reason("returned", said, warns=True, tickets=row.times, grounds=row.grounds)


def _units(desk: Desk, ids: set[int]) -> dict[int, OrgUnit]:
    if not ids:
        return {}
    rows = desk.session.execute(
        select(OrgUnit).where(col(OrgUnit.id).in_(sorted(ids)), col(OrgUnit.active))
    ).scalars()
    return {unit.id: unit for unit in rows}
