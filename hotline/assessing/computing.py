"""考核计算: each unit's and platform's points, item by item, each with the figure, the curve and the sum it came by; ranked by tier (art. 30-34)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline.assessing import entered
from hotline.assessing.scoring import Curve, in_words, rounded, share_of
from hotline.assessing.systems import ENTERED, OWN, Item, System
from hotline.assessing.tables import EnteredPoints
from hotline.organisation import Platform
from hotline.reporting import figures
from hotline.reporting.figures import OF_PLATFORM
from hotline.reporting.indicators import BY_KEY, Figure, shown
from hotline.reporting.periods import Period
from hotline.reporting.slices import Slice, below
from workflow.deadlines import local_day
from workflow.vocabulary import Level

Result = dict[str, Any]
"""What was computed, as plain data: amounts are decimal text, so that they are written one way."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """One figure of one subject: its value (None: nothing to count), what it is a fraction of."""

    value: Fraction | None
    numerator: int
    denominator: int | None


@dataclass(frozen=True, slots=True)
class _Subject:
    """Whom is assessed: a unit or a platform, in which tier, with how much work and which figures."""

    kind: str
    code: str
    name: str
    tier: str
    work: int
    told: Mapping[str, Figure]


def computed(
    session: Session, platform: Platform, period: Period, version: int, system: System, at: datetime
) -> Result:
    """The result of a platform and those below it in a period, as the figures stand at `at`."""
    cut = Slice(platforms=tuple(below(session, platform.id)))
    today = local_day(at)
    own = _own_figures(session, cut.platforms, period)
    given = entered.counting(session, platform.id, period)
    subjects = [
        _scored(each, system.units if each.kind == "unit" else system.platforms, own, given)
        for each in _subjects(session, cut, period, today)
    ]
    result: Result = {
        "period": {"first": period.first.isoformat(), "last": period.last.isoformat()},
        "platform": platform.code,
        "system_version": version,
        "system": system.model_dump(mode="json"),
        "as_of": at.isoformat(),
        "subjects": subjects,
    }
    return settled(result)


def _subjects(session: Session, cut: Slice, period: Period, today: date) -> Iterable[_Subject]:
    for row in figures.table(session, cut, period, "unit", today).rows:
        if row.key == OF_PLATFORM or row.level is None:
            continue
        work = row.figures["assigned"].numerator
        yield _Subject("unit", row.key, row.name, row.level.value, work, row.figures)
    levels: dict[str, Level] = dict(
        map(tuple, session.execute(select(col(Platform.code), col(Platform.level))))
    )
    for row in figures.table(session, cut, period, "platform", today).rows:
        work = row.figures["received"].numerator
        yield _Subject("platform", row.key, row.name, levels[row.key].value, work, row.figures)


# --- figures that are no indicator of the reports ----------------------------------------------------------------------------

_Own = dict[tuple[str, str, str], _Measured]
"""By kind of subject, code and figure."""

_FLAGS: Final = """
SELECT u.code, p.code, count(*) FROM flags f JOIN tickets t ON t.id = f.ticket_id JOIN units u ON u.id = f.unit_id JOIN platforms p ON p.id = t.platform_id
WHERE t.platform_id = ANY(CAST(:platforms AS bigint[])) AND (f.flagged_at AT TIME ZONE 'Asia/Shanghai')::date BETWEEN :first AND :last
    AND NOT EXISTS (SELECT 1 FROM exclusions x WHERE x.approved AND x.revoked_at IS NULL AND x.ticket_id = f.ticket_id AND x.clock_id IS NULL)
GROUP BY 1, 2
"""
_NOTICES: Final = """
SELECT u.code, p.code, count(*) FROM accountability_notices n JOIN units u ON u.id = n.unit_id JOIN platforms p ON p.id = n.platform_id
WHERE n.platform_id = ANY(CAST(:platforms AS bigint[])) AND (n.issued_at AT TIME ZONE 'Asia/Shanghai')::date BETWEEN :first AND :last
GROUP BY 1, 2
"""
_REMINDERS: Final = """
SELECT u.code, p.code, count(*) FROM reminders r LEFT JOIN units u ON u.id = r.unit_id JOIN platforms p ON p.id = r.platform_id
WHERE r.platform_id = ANY(CAST(:platforms AS bigint[])) AND (r.created_at AT TIME ZONE 'Asia/Shanghai')::date BETWEEN :first AND :last
GROUP BY 1, 2
"""


def _own_figures(session: Session, platforms: tuple[int, ...], period: Period) -> _Own:
    found: _Own = {}
    values = {"platforms": list(platforms), "first": period.first, "last": period.last}
    for name, statement in (("flags", _FLAGS), ("notices", _NOTICES), ("reminders", _REMINDERS)):
        for unit, platform, count in session.execute(text(statement), values):
            for kind, code in (("unit", unit), ("platform", platform)):
                before = found.get((kind, code, name))
                total = count + (before.numerator if before else 0)
                found[kind, code, name] = _Measured(Fraction(total), total, None)
    return found


def _measured(subject: _Subject, item: Item, own: _Own) -> _Measured:
    if item.figure in OWN:
        return own.get((subject.kind, subject.code, item.figure), _Measured(Fraction(0), 0, None))
    told = subject.told[item.figure]
    return _Measured(told.value, told.numerator, told.denominator)


# --- points --------------------------------------------------------------------------------------------------------------------


_Given = Mapping[tuple[str, str, str], EnteredPoints]


def _scored(subject: _Subject, items: list[Item], own: _Own, given: _Given) -> dict[str, Any]:
    lines = [
        _entered(item, given.get((subject.kind, subject.code, item.key)))
        if item.curve is None
        else _line(item, item.curve, _measured(subject, item, own))
        for item in items
    ]
    return {
        "kind": subject.kind,
        "code": subject.code,
        "name": subject.name,
        "tier": subject.tier,
        "work": subject.work,
        "flags": _count(own, subject, "flags"),
        "notices": _count(own, subject, "notices"),
        "items": lines,
    }


def _count(own: _Own, subject: _Subject, name: str) -> int:
    found = own.get((subject.kind, subject.code, name))
    return found.numerator if found else 0


def _line(item: Item, curve: Curve, measured: _Measured) -> dict[str, Any]:
    unit = OWN[item.figure][1] if item.figure in OWN else BY_KEY[item.figure].unit
    line = _head(item) | {
        "curve": in_words(curve, percent=item.is_percent),
        "numerator": measured.numerator,
        "denominator": measured.denominator,
        "value": shown(measured.value, unit),  # type: ignore[arg-type]
    }
    if measured.value is None:
        return line | {"points": None, "why": f"{item.name}：本期没有可计的，不计该项，其余各项按权重折算"}
    share = share_of(curve, measured.value, item.weight)
    points = rounded(share * Fraction(item.weight))
    why = f"{_written(measured, item)}；{line['curve']}：{item.weight:f}分×{float(share):.4g}＝{points}分"
    return line | {"points": str(points), "why": why}


def _head(item: Item) -> dict[str, Any]:
    return {
        "key": item.key,
        "name": item.name,
        "figure": item.figure,
        "article": item.article,
        "weight": str(item.weight),
    }


def _entered(item: Item, given: EnteredPoints | None) -> dict[str, Any]:
    """The line of an item whose points were entered (评定分); without confirmed ones it is left out like what has nothing to count."""
    line = _head(item) | {"curve": OWN[ENTERED][2], "numerator": 0, "denominator": None}
    left_out = "不计该项，其余各项按权重折算"
    if given is None:
        why = f"{item.name}：没有经确认的评定分，{left_out}"
        return line | {"value": None, "points": None, "why": why}
    if Decimal(given.points) > item.weight:
        why = f"{item.name}：评定的{given.points}分超过现满分{item.weight:f}分，须重新评定，{left_out}"
        return line | {"value": given.points, "points": None, "why": why}
    document = f"；依据文件：{given.document}" if given.document else ""
    by = f"；{given.entered_by}评定，{given.confirmed_by}确认"
    why = (
        f"{item.name}评定{given.points}分（满分{item.weight:f}分）：{given.reason.rstrip('。')}{document}{by}"
    )
    return line | {"value": given.points, "points": given.points, "why": why}


def _written(measured: _Measured, item: Item) -> str:
    assert measured.value is not None
    if item.is_percent:
        return f"{item.name}{float(measured.value):.2%}（{measured.numerator}/{measured.denominator}）"
    return f"{item.name}{float(measured.value):g}"


def settled(result: Result) -> Result:
    """The result with totals, ranks within each tier, and the lists of art. 34; again after any points changed."""
    system = System.model_validate(result["system"])
    subjects = [dict(each) | {"total": _total(each["items"])} for each in result["subjects"]]
    tiers: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for subject in subjects:
        ranked = subject["work"] >= system.minimum and subject["total"] is not None
        subject["rank"], subject["of"] = None, None
        if ranked:
            tiers.setdefault((subject["kind"], subject["tier"]), []).append(subject)
    for members in tiers.values():
        totals = [Decimal(member["total"]) for member in members]
        for member in members:
            member["rank"] = 1 + sum(total > Decimal(member["total"]) for total in totals)
            member["of"] = len(members)
    order = {level.value: place for place, level in enumerate(Level)}
    subjects.sort(
        key=lambda each: (
            each["kind"] != "unit",
            order[each["tier"]],
            each["rank"] is None,
            each["rank"] or 0,
            each["code"],
        )
    )
    return result | {
        "subjects": subjects,
        "commended": [told for each in subjects if (told := _commended(each, system))],
        "accountable": [told for each in subjects if (told := _accountable(each, system))],
    }


def _total(items: list[dict[str, Any]]) -> str | None:
    """The points of what could be counted, scaled to 100."""
    counted = [item for item in items if item["points"] is not None]
    weight = sum((Fraction(item["weight"]) for item in counted), Fraction(0))
    if not weight:
        return None
    points = sum((Fraction(item["points"]) for item in counted), Fraction(0))
    return str(rounded(points * 100 / weight))


def _commended(subject: Mapping[str, Any], system: System) -> dict[str, str] | None:
    if subject["rank"] is None or subject["flags"] or subject["notices"]:
        return None
    if Decimal(subject["total"]) < system.commend.total:
        return None
    why = f"得分 {subject['total']}，不低于 {system.commend.total:f} 分，本期无问题标记和通报（第三十四条第（一）项）"
    return {"kind": subject["kind"], "code": subject["code"], "name": subject["name"], "why": why}


def _accountable(subject: Mapping[str, Any], system: System) -> dict[str, str] | None:
    why = []
    if subject["rank"] is not None and Decimal(subject["total"]) < system.hold.total:
        why.append(f"得分 {subject['total']}，低于 {system.hold.total:f} 分")
    if subject["kind"] == "unit" and subject["flags"] >= system.hold.flags:
        why.append(f"被标记问题 {subject['flags']} 件")
    if subject["kind"] == "unit" and subject["notices"]:
        why.append(f"被通报 {subject['notices']} 次")
    if not why:
        return None
    told = "；".join(why) + "（第三十四条第（二）项，是否启动由有权机关决定）"
    return {"kind": subject["kind"], "code": subject["code"], "name": subject["name"], "why": told}
