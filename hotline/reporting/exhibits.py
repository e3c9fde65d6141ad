"""表与图: a report's tables, charts and appendices as blocks, out of its content."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from hotline.printing.documents import Block, Chart, Column, Kind, Table, Value, written

Content = Mapping[str, Any]
PRINTED_ROWS: Final = 200
"""Lines of one table on paper; the workbook has them all."""

TITLES: Final[Mapping[str, str]] = {
    "platform": "各热线平台情况",
    "level": "各层级承办单位情况",
    "unit": "各承办单位情况",
    "matter": "按诉求性质",
    "category": "按诉求分类",
    "category_2": "按诉求分类（一级）",
    "category_4": "按诉求分类（二级）",
    "category_6": "按诉求分类（三级）",
    "area": "按行政区划",
    "area_2": "按行政区划（省）",
    "area_4": "按行政区划（市州）",
    "area_6": "按行政区划（县区）",
    "channel": "按受理渠道",
    "agent": "按首接话务员",
    "day": "按日",
    "month": "按月",
}
_ON_PAPER: Final = (
    *("platform", "area_4", "area_6", "matter", "channel", "category_2", "level", "unit"),
    *("category", "area", "agent", "month", "day"),
)
"""The tables of a paper, in their order; deeper levels are in the workbook."""

_DEMAND: Final = (
    "received",
    "accepted",
    "answered_directly",
    "timely",
    "overdue",
    "completed",
    "solved",
    "satisfied",
)
_WORK: Final = (
    "assigned",
    "timely",
    "overdue",
    "returned",
    "completed",
    "handling_workdays",
    "solved",
    "satisfied",
)
_OF_WORK: Final = frozenset({"unit", "level"})
_SHORT: Final[Mapping[str, str]] = {
    "received": "诉求",
    "accepted": "受理",
    "assigned": "任务",
    "answered_directly": "直接解答率",
    "handling_workdays": "平均时长（工作日）",
}
_MOST_COLUMNS: Final = 8
_SAYS_NOTHING_ALONE: Final = frozenset({"platform", "area_2", "area_4"})
"""Tables whose only line would be the whole once more."""


def exact(figure: Mapping[str, Any], kind: Kind) -> Decimal | None:
    """A figure's value, exactly; None where there is nothing to divide by."""
    if figure["denominator"] is None:
        return Decimal(figure["numerator"])
    if not figure["denominator"]:
        return None
    scale = 3600 if kind == "hours" else 1
    return Decimal(int(figure["numerator"])) / (int(figure["denominator"]) * scale)


def tables(content: Content) -> Iterator[Block]:
    """The tables of the report's breakdowns."""
    found = content["figures"]["tables"]
    for name in _ON_PAPER:
        rows = found.get(name, [])
        if len(rows) > (1 if name in _SAYS_NOTHING_ALONE else 0):
            yield _table(content, name, rows)


def _table(content: Content, name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    known = {each["key"]: each for each in content["definitions"]}
    usual = _WORK if name in _OF_WORK else _DEMAND
    keys = [key for key in usual if key in known] or list(known)[:_MOST_COLUMNS]
    keys = keys if any(key in known for key in usual) and len(keys) > 1 else list(known)[:_MOST_COLUMNS]
    columns = [Column("", width=2.6)]
    columns += [Column(_SHORT.get(key, known[key]["name"]), known[key]["unit"]) for key in keys]
    lines: list[list[Value]] = [
        [row["name"], *(exact(row["figures"][key], known[key]["unit"]) for key in keys)] for row in rows
    ]
    lines = [line for line in lines if any(line[1:])]
    left = len(lines) - PRINTED_ROWS
    note = f"本表列前 {PRINTED_ROWS} 行，其余 {left} 行见电子表格。" if left > 0 else None
    return Table(TITLES.get(name, name), columns, lines[:PRINTED_ROWS], note)


def questions(asked: Sequence[Mapping[str, Any]]) -> Table:
    """高频问题: what was asked most."""
    columns = (
        Column("位次", "count", 0.6),
        Column("诉求分类", width=2.4),
        Column("所属一级分类", width=1.8),
        Column("件数", "count"),
        Column("占比", "percent"),
        Column("上期件数", "count"),
    )
    rows: list[list[Value]] = [
        [place, each["name"], each["above"], each["count"], Decimal(each["share"]), each["before"]]
        for place, each in enumerate(asked, start=1)
    ]
    return Table("高频问题", columns, rows)


# --- charts ------------------------------------------------------------------------------------------------------------------

_BARS: Final = 12


def chart(name: str | None, content: Content) -> Iterator[Chart]:
    """The chart of this name, where the report has something to show in it."""
    made = {"trend": _trend, "units": _units, "questions": _asked}[name](content) if name else None
    if made is not None:
        yield made


def _trend(content: Content) -> Chart | None:
    trend = content.get("trend", {"rows": []})
    rows = trend["rows"]
    if len(rows) < 2:
        return None
    by_day = trend["by"] == "day"
    days = [date.fromisoformat(row["key"]) for row in rows]
    labels = [f"{day.month}.{day.day}" if by_day else f"{day.year}.{day.month}" for day in days]
    series = [
        (label, [float(row["figures"][key]["numerator"]) for row in rows])
        for key, label in (("received", "诉求总量"), ("dispatched", "派单量"), ("assigned", "任务量"))
        if key in rows[0]["figures"] and (key != "assigned" or "received" not in rows[0]["figures"])
    ]
    if not series:
        return None
    peak = max(range(len(rows)), key=lambda place: series[0][1][place])
    words = (
        f"{series[0][0]}最多的{'一天' if by_day else '一月'}为{labels[peak]}，{series[0][1][peak]:.0f}件。"
    )
    title = f"诉求与派单数量（按{'日' if by_day else '月'}）"
    return Chart(title, "line", labels, series, "count", words)


def _units(content: Content) -> Chart | None:
    rows = [
        row
        for row in content["figures"]["tables"].get("unit", [])
        if row["key"] != "platform" and "timely" in row["figures"] and row["figures"]["timely"]["denominator"]
    ][:_BARS]
    if len(rows) < 2:
        return None
    rates = [exact(row["figures"]["timely"], "percent") for row in rows]
    lowest = min(range(len(rows)), key=lambda place: rates[place] or Decimal())
    words = f"其中{rows[lowest]['name']}最低，为{written(rates[lowest], 'percent')}。"
    title = f"任务最多的 {len(rows)} 个承办单位的及时率"
    values = [float(rate or 0) for rate in rates]
    return Chart(title, "bars", [row["name"] for row in rows], [("及时率", values)], "percent", words)


def _asked(content: Content) -> Chart | None:
    asked = content.get("questions", [])
    if len(asked) < 2:
        return None
    labels = [each["name"] for each in asked]
    now = [float(each["count"]) for each in asked]
    before: list[float | None] = [float(each["before"]) for each in asked]
    series: list[tuple[str, Sequence[float | None]]] = [("本期", now)]
    if any(before):
        series.append(("上期", before))
    return Chart(
        "高频问题件数", "bars", labels, series, "count", f"最多的为{labels[0]}，{asked[0]['count']}件。"
    )


# --- appendices ----------------------------------------------------------------------------------------------------------------


def definitions(content: Content) -> Table:
    """指标口径."""
    columns = (Column("指标", width=1.5), Column("口径", width=5.0), Column("条款", width=0.8))
    rows: list[list[Value]] = [
        [each["name"], each["definition"], each["article"]] for each in content["definitions"]
    ]
    return Table("指标口径", columns, rows)


def limits(content: Content) -> Table:
    """法定期限, as they were on the period's last day."""
    columns = (Column("期限", width=2.5), Column("长度", width=1.6), Column("条款", width=0.8))
    rows: list[list[Value]] = [
        [each["label"], each["said"], each["article"]] for each in content["parameters"]["limits"]
    ]
    return Table("法定期限", columns, rows)


def rules(content: Content) -> Table:
    """规则参数."""
    columns = (
        Column("参数", width=1.6),
        Column("取值", width=1.2),
        Column("含义", width=4.2),
        Column("条款", width=0.8),
    )
    rows: list[list[Value]] = [
        [each["name"], str(each["value"]), each["text"], each["article"]]
        for each in content["parameters"]["parameters"]
    ]
    return Table("规则参数", columns, rows)


def cohorts(content: Content) -> Table:
    """各口径件数."""
    columns = (Column("口径", width=3.0), Column("件数", "count"))
    rows: list[list[Value]] = [[each["label"], each["size"]] for each in content["cohorts"]]
    return Table("各口径件数", columns, rows)
