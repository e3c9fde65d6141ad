"""高频问题 and 典型案例: what was asked most, and a few tickets told as examples, chosen by rule and with nothing left that identifies anybody.

The rule is printed with them. A reviewer may strike a case out; the next one by the rule takes its place, and the report says so.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline.case import Office
from hotline.models import Ticket
from hotline.organisation import Area, Category
from hotline.privacy.concealment import known_of
from hotline.privacy.likely import likely
from hotline.privacy.masking import HIDDEN, mask_text
from hotline.reporting import cube, facts
from hotline.reporting.periods import Period
from hotline.reporting.slices import Slice
from workflow.deadlines import CHINA
from workflow.vocabulary import CallbackOutcome, Matter, State

QUESTIONS: Final = 10
GOOD: Final = 4
SLOW: Final = 2
RULE: Final = (
    "典型案例按规则选取：在本期诉求最多的 10 个分类中，各取最先受理的至多 200 件（不含举报、要求保密、并单和经批准不计入考核的诉求）；"
    "按期答复、已认定且来电人表示满意并已解决的，参与办理单位多者优先，同等时先受理者优先，每个分类一件，共至多 4 件；"
    "答复逾期的，逾期时间长者优先，至多 2 件。来电人的信息已隐去，他人的由审核人在送审时核对。"
)
_CANDIDATES: Final = 200
_LONGEST: Final = 220


@dataclass(frozen=True, slots=True)
class _Candidate:
    id: int
    category: str
    units: int
    good: bool
    late: timedelta | None


# --- what was asked most --------------------------------------------------------------------------------------------------


def questions(
    session: Session, cut: Slice, period: Period, previous: Period, today: date
) -> list[dict[str, Any]]:
    """The categories (leaves) with most demands in the period, of units' cuts with most parts; the busiest first."""
    now, before = (_sizes(session, cut, each, today) for each in (period, previous))
    whole = sum(now.values())
    top = sorted((code for code in now if code), key=lambda code: (-now[code], code))[:QUESTIONS]
    names = _names(session, Category, {code[:digits] for code in top for digits in (2, 4, 6)})
    return [
        {
            "code": code,
            "name": names.get(code, code),
            "above": names.get(code[:2], code[:2]),
            "count": now[code],
            "share": _share(now[code], whole),
            "before": before.get(code, 0),
        }
        for code in top
    ]


def _sizes(session: Session, cut: Slice, period: Period, today: date) -> dict[str, int]:
    what = "received" if cut.units is None else "assigned"
    found = cube.counted(session, cut, period, "category", today)
    return {code: counted[what][0] for code, counted in found.items() if what in counted}


def _share(part: int, whole: int) -> str:
    return str((Decimal(part) / whole).quantize(Decimal("0.0001"), ROUND_HALF_UP))


def _names(session: Session, table: Any, codes: Collection[str]) -> Mapping[str, str]:
    rows = session.execute(select(col(table.code), col(table.name)).where(col(table.code).in_(sorted(codes))))
    return {code: name for code, name in rows}  # noqa: C416


# --- what a reviewer covers ------------------------------------------------------------------------------------------------

TEXTS: Final = ("title", "demand", "result")
"""What of a case is somebody's own words."""


def likely_in(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """By case what may tell of somebody, for the reviewer to look at (`hotline.privacy.likely`); those with nothing left out."""
    told = {
        case["number"]: [
            word for word in likely(chr(10).join(case[part] for part in TEXTS)) if word not in HIDDEN
        ]
        for case in content.get("cases", [])
    }
    return {number: words for number, words in told.items() if words}


def without_words(content: Mapping[str, Any], covered: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The content with these words of its cases hidden, and what was covered remembered."""

    def hidden(case: Mapping[str, Any]) -> dict[str, Any]:
        told = dict(case)
        words = [one["words"] for one in covered if one["number"] == case["number"]]
        for word in sorted(words, key=len, reverse=True):
            told |= {part: told[part].replace(word, HIDDEN) for part in TEXTS}
        return told

    return dict(content) | {
        "cases": [hidden(case) for case in content.get("cases", [])],
        "cases_covered": [dict(one) for one in covered],
    }


def without_what_was_covered(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content as it is filed: of what was covered only in which case and by whom."""
    told = [{"number": one["number"], "by": one["by"]} for one in content.get("cases_covered", [])]
    return dict(content) | {"cases_covered": told}


# --- examples -------------------------------------------------------------------------------------------------------------


def cases(
    session: Session,
    office: Office,
    cut: Slice,
    period: Period,
    asked: Sequence[Mapping[str, Any]],
    struck: Collection[str],
) -> list[dict[str, Any]]:
    """The typical cases of the period by `RULE`, among the categories `asked`, without the ticket numbers `struck`."""
    found = list(_candidates(session, cut, period, [each["code"] for each in asked], struck))
    good: list[_Candidate] = []
    for each in asked:
        best = [one for one in found if one.category == each["code"] and one.good]
        good += sorted(best, key=lambda one: (-one.units, one.id))[:1]
    late = sorted((one for one in found if one.late), key=lambda one: (-(one.late or timedelta()), one.id))
    told = [*((one, "good") for one in good[:GOOD]), *((one, "slow") for one in late[:SLOW])]
    return _told(session, office, told)


_FOUND: Final = """
SELECT t.id, t.category_code, parts.units, t.matter, called.satisfied, clock.late, clock.met
FROM unnest(CAST(:categories AS text[])) AS wanted(code)
CROSS JOIN unnest(CAST(:platforms AS bigint[])) AS p(id)
CROSS JOIN LATERAL (
    SELECT * FROM tickets t WHERE t.platform_id = p.id AND t.category_code = wanted.code
        AND t.received_at >= :since AND t.received_at < :until
        AND t.matter <> :tipoff AND NOT t.confidential AND t.merged_into_id IS NULL AND t.number <> ALL(CAST(:struck AS text[]))
        AND NOT EXISTS (SELECT 1 FROM exclusions x WHERE {in_force} AND x.ticket_id = t.id)
        {narrowed}
    ORDER BY t.received_at, t.id LIMIT :most
) t
JOIN LATERAL (
    SELECT count(DISTINCT a.unit_id) AS units FROM assignments a
    WHERE a.ticket_id = t.id AND a.status NOT IN ('returned', 'released')
) parts ON parts.units > 0
JOIN LATERAL (
    SELECT max(c.met_at - c.due_at) AS late, bool_and(c.met_at < c.due_at) AS met
    FROM clocks c WHERE c.ticket_id = t.id AND c.kind = 'reply' AND c.voided_at IS NULL
    HAVING bool_and(c.met_at IS NOT NULL)
) clock ON EXISTS (SELECT 1 FROM replies r WHERE r.ticket_id = t.id)
LEFT JOIN LATERAL (
    SELECT b.outcome = ANY(CAST(:pleased AS text[])) AND b.solved AS satisfied FROM callback_attempts b
    WHERE b.ticket_id = t.id AND b.conclusive ORDER BY b.id DESC LIMIT 1
) called ON true
WHERE t.state = ANY(CAST(:ended AS text[]))
"""
_ENDED: Final = (State.VERIFIED, State.CLOSED, State.ARCHIVED)
_PLEASED: Final = (CallbackOutcome.SATISFIED, CallbackOutcome.BASICALLY_SATISFIED)


def _candidates(
    session: Session, cut: Slice, period: Period, categories: Sequence[str], struck: Collection[str]
) -> Iterable[_Candidate]:
    tests, values = _narrowed(cut)
    values |= {
        "categories": list(categories),
        "platforms": list(cut.platforms),
        "since": datetime.combine(period.first, time(), CHINA),
        "until": datetime.combine(period.last + timedelta(days=1), time(), CHINA),
        "tipoff": Matter.TIPOFF.value,
        "struck": sorted(struck),
        "most": max(20, _CANDIDATES // max(1, len(cut.platforms))),
        "pleased": [each.value for each in _PLEASED],
        "ended": [each.value for each in _ENDED],
    }
    for key, category, units, _matter, pleased, late, met in session.execute(
        text(_FOUND.format(narrowed=tests, in_force=facts.IN_FORCE)), values
    ):
        is_late = late is not None and late >= timedelta()
        yield _Candidate(key, category, units, bool(met and pleased), late if is_late else None)


def _narrowed(cut: Slice) -> tuple[str, dict[str, Any]]:
    tests, values = "", dict[str, Any]()
    for name, column in (("matter", "matter"), ("channel", "channel"), ("agent", "first_receiver_id")):
        if getattr(cut, name) is not None:
            tests += f" AND t.{column} = :of_{name}"
            values[f"of_{name}"] = getattr(cut, name)
    if cut.area is not None:
        tests += " AND starts_with(t.area_code, :of_area)"
        values["of_area"] = cut.area
    if cut.units is not None:
        tests += (
            " AND EXISTS (SELECT 1 FROM assignments a WHERE a.ticket_id = t.id"
            " AND a.unit_id = ANY(CAST(:of_units AS bigint[])))"
        )
        values["of_units"] = list(cut.units)
    return tests, values


def _told(session: Session, office: Office, chosen: Sequence[tuple[_Candidate, str]]) -> list[dict[str, Any]]:
    keys = [one.id for one, _ in chosen]
    found = {
        ticket.id: ticket
        for ticket in session.execute(select(Ticket).where(col(Ticket.id).in_(keys))).scalars()
    }
    categories = _names(session, Category, {ticket.category_code for ticket in found.values()})
    areas = _names(session, Area, {_county(ticket) for ticket in found.values()})
    units, replies = _units(session, keys), _replies(session, keys)
    told = []
    for one, kind in chosen:
        ticket = found[one.id]
        known = known_of(office.sealer, ticket)

        def plain(words: str, known: Any = known) -> str:
            return _short(mask_text(" ".join(words.split()), known, hide=True))

        told.append(
            {
                "kind": kind,
                "number": ticket.number,
                "title": plain(ticket.title),
                "matter": ticket.matter.label,
                "category": categories.get(ticket.category_code, ticket.category_code),
                "area": areas.get(_county(ticket), ""),
                "received_on": ticket.received_at.astimezone(CHINA).date().isoformat(),
                "units": units.get(one.id, []),
                "demand": plain(ticket.content),
                "result": plain(ticket.outcome or replies.get(one.id, "")),
                "late_hours": int(one.late.total_seconds() // 3600) if one.late and kind == "slow" else None,
            }
        )
    return told


def _county(ticket: Ticket) -> str:
    """A demand is placed no closer than its county."""
    return ticket.area_code[:6].ljust(12, "0")


def _short(words: str) -> str:
    return words if len(words) <= _LONGEST else words[: _LONGEST - 2] + "……"


def _units(session: Session, keys: Sequence[int]) -> Mapping[int, list[str]]:
    rows = session.execute(
        text(
            "SELECT a.ticket_id, u.name FROM assignments a JOIN units u ON u.id = a.unit_id"
            " WHERE a.ticket_id = ANY(CAST(:keys AS bigint[])) AND a.status NOT IN ('returned', 'released')"
            " GROUP BY a.ticket_id, u.name ORDER BY a.ticket_id, bool_or(a.role = 'lead') DESC, min(a.id)"
        ),
        {"keys": list(keys)},
    )
    found: dict[int, list[str]] = {}
    for key, name in rows:
        found.setdefault(key, []).append(name)
    return found


def _replies(session: Session, keys: Sequence[int]) -> Mapping[int, str]:
    """The newest reply of each, the lead unit's before co-units'."""
    rows = session.execute(
        text(
            "SELECT DISTINCT ON (r.ticket_id) r.ticket_id, r.content FROM replies r JOIN assignments a ON a.id = r.assignment_id"
            " WHERE r.ticket_id = ANY(CAST(:keys AS bigint[])) ORDER BY r.ticket_id, a.role = 'lead' DESC, r.id DESC"
        ),
        {"keys": list(keys)},
    )
    return {key: content for key, content in rows}  # noqa: C416
