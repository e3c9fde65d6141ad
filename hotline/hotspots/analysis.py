"""热点分析: a window of a platform's tickets, clustered into themes, compared with the windows before, kept with what is behind each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session

from hotline.case import Office
from hotline.hotspots import naming, reading, rises
from hotline.hotspots.clusters import ALIKE, Block, Cluster, clustered, nearest, weights_of
from hotline.hotspots.reading import Line
from hotline.hotspots.tables import Hotspot, HotspotRun
from hotline.reporting.slices import below
from workflow.errors import LimitExceeded, OrderInvalid
from workflow.vocabulary import HotspotKind

MOST_TICKETS: Final = 200_000
MOST_DAYS: Final = 92
MOST_THEMES, LEAST_THEME = 60, 3
MOST_CALLERS, LEAST_CALLS = 30, 3
MOST_PROBLEMS: Final = 30

RULES: Final = {
    "theme": f"主题：同一末级分类、同一县（区）内，标题（过短的加内容开头）用字与主题共有部分的权重不低于 {ALIKE:.0%} 的归为一个主题，{LEAST_THEME} 件起列；"
    "地名不计，越少见的字词权重越大。举报和要求保密的工单不作文字分析。",
    "words": f"主题词：至少 {naming.CALLERS} 个来电人用过的词，人名和号码不列。",
    "trend": "环比为此前等长时段、同比为去年同期归入同一主题的件数。",
    "rise": rises.RULE,
    "caller": f"重复来电：时段内同一来电号码 {LEAST_CALLS} 件以上的，按号码的盲索引归并，不显示号码。",
    "problem": "重复发生：同一主题、同一地点，前一件办结之后又有新的诉求（含上一时段的）。",
}
"""Every rule of an analysis in words."""

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Window:
    """The days analysed, both inclusive, and those they are compared with."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.last - self.first).days + 1

    def before(self, windows: int = 1) -> "Window":
        """The window of as many days that lies so many windows before."""
        back = timedelta(days=self.days * windows)
        return Window(self.first - back, self.last - back)

    def last_year(self, shift: int = 0) -> "Window":
        """The same days a year ago, to the weekday, or so many windows after them."""
        back = timedelta(days=364 - shift * self.days)
        return Window(self.first - back, self.last - back)

    def baseline(self, since: date) -> list["Window"]:
        """The windows comparable with this one that lie wholly after `since`."""
        every = [self.before(number) for number in range(1, rises.BEFORE + 1)]
        every += [self.last_year(shift) for shift in (-1, 0, 1)]
        distinct = {
            window.first: window for window in every if window.first >= since and window.last < self.first
        }
        return list(distinct.values())


def window_of(first: date, last: date) -> Window:
    """These days as a window. Raises `OrderInvalid` where they end before they begin, or are too many."""
    if last < first:
        raise OrderInvalid("时段的末日早于首日。", field="ends")
    window = Window(first, last)
    if window.days > MOST_DAYS:
        raise OrderInvalid(f"分析时段至多 {MOST_DAYS} 天。", field="ends")
    if not date(2020, 1, 1) <= first <= last <= date(2099, 12, 31):
        raise OrderInvalid("分析时段须在 2020 至 2099 年之间。", field="starts")
    return window


def analyse(
    session: Session, office: Office, platform_id: int, window: Window, *, by: str, at: datetime
) -> HotspotRun:
    """Analyse the tickets a platform and those below it received in `window`, and keep the result. The caller commits.

    Raises `LimitExceeded` for more than `MOST_TICKETS`.
    """
    platforms = below(session, platform_id)
    tickets, sealed = reading.counted(session, platforms, window.first, window.last)
    if tickets > MOST_TICKETS:
        raise LimitExceeded(f"该时段有 {tickets} 件工单，超过一次分析的上限 {MOST_TICKETS} 件，请缩短时段。")
    found = _Analysis(session, office, platforms, window)
    hotspots = [*found.themes(), *found.problems(), *found.callers()]
    run = HotspotRun(
        platform_id=platform_id,
        starts=window.first,
        ends=window.last,
        tickets=tickets,
        content={
            "rules": RULES,
            "sealed": sealed,
            "previous": _days(window.before()),
            "last_year": _days(window.last_year()),
            "compared": len(found.baseline),
            "rises": _rising_categories(session, platforms, window, found.baseline),
        },
        made_by=by,
        made_at=at,
    )
    session.add(run)
    session.flush()
    for hotspot in hotspots:
        hotspot.run_id = run.id
    session.add_all(hotspots)
    session.flush()
    return run


def _days(window: Window) -> dict[str, str]:
    return {"starts": window.first.isoformat(), "ends": window.last.isoformat()}


class _Analysis:
    """One window read and clustered."""

    def __init__(self, session: Session, office: Office, platforms: Sequence[int], window: Window) -> None:
        self.session, self.office, self.platforms, self.window = session, office, platforms, window
        first = reading.first_day(session, platforms)
        self.baseline = window.baseline(first) if first is not None else []
        self.places = reading.place_pairs(session)
        self.known: dict[int, int] = {}
        self.lines = {line.id: line for line in reading.lines(session, platforms, window.first, window.last)}
        told = [reading.told(line, self.places, self.known) for line in self.lines.values()]
        self.weights = weights_of(told)
        whole = [theme for theme in clustered(told, self.weights) if len(theme.tickets) >= LEAST_THEME]
        del told
        self.kept = self._chosen(whole)
        self.previous = self._assigned(window.before())
        self.last_year = self._assigned(window.last_year())
        self._names()

    def _chosen(self, whole: list[Cluster]) -> list[Cluster]:
        """The largest themes, and of the smaller ones those in a block that rises suddenly."""
        blocks = {theme.block for theme in whole[: 10 * MOST_THEMES]}
        compared = [(each.first, each.last) for each in self.baseline]
        counts = reading.in_windows(self.session, self.platforms, compared, blocks) if compared else {}
        now = Counter(line.block for line in self.lines.values())
        self.rises = {block: rises.judged(now[block], counts.get(block, [])) for block in blocks}
        self.in_block = now
        rising = [
            theme for theme in whole[MOST_THEMES:] if (rise := self.rises.get(theme.block)) and rise.sudden
        ]
        return [*whole[:MOST_THEMES], *rising[:MOST_THEMES]]

    def _assigned(self, window: Window) -> dict[int, list[Line]]:
        """Another window's tickets by the theme (its place among the kept) they would have joined."""
        blocks: dict[Block, list[Cluster]] = {}
        for theme in self.kept:
            blocks.setdefault(theme.block, []).append(theme)
        number = {id(theme): place for place, theme in enumerate(self.kept)}
        found: dict[int, list[Line]] = {}
        if not blocks:
            return found
        for line in reading.lines(self.session, self.platforms, window.first, window.last, blocks):
            joined = nearest(reading.told(line, self.places, self.known), blocks[line.block], self.weights)
            if joined is not None:
                found.setdefault(number[id(joined)], []).append(line)
        return found

    def _names(self) -> None:
        categories = sorted({line.category for line in self.lines.values()})
        counties = sorted({line.area[:6].ljust(12, "0") for line in self.lines.values()})
        areas = sorted({line.area for line in self.lines.values()} | set(counties))
        named = "SELECT code, name FROM {} WHERE code = ANY(CAST(:codes AS text[]))"
        self.category_names: dict[str, str] = dict(
            map(tuple, self.session.execute(text(named.format("categories")), {"codes": categories}))
        )
        self.area_names: dict[str, str] = dict(
            map(tuple, self.session.execute(text(named.format("areas")), {"codes": areas}))
        )

    def _title(self, block: Block, words: Sequence[str]) -> str:
        category, county = block
        where = self.area_names.get(county.ljust(12, "0"), county)
        what = self.category_names.get(category, category)
        return f"{where}·{what}" + (f"：{' '.join(words[:3])}" if words else "")

    # --- what is found -----------------------------------------------------------------------------------------------------

    def themes(self) -> list[Hotspot]:
        """The themes, the largest first."""
        return [self._theme(place, theme) for place, theme in enumerate(self.kept)]

    def _theme(self, place: int, theme: Cluster) -> Hotspot:
        lines = [self.lines[key] for key in theme.tickets]
        words = naming.words([naming.Said(line.title, line.begins, line.caller) for line in lines])
        days = Counter((line.day - self.window.first).days for line in lines)
        rise = self.rises.get(theme.block)
        return Hotspot(
            kind=HotspotKind.THEME,
            rank=place + 1,
            title=self._title(theme.block, words)[:200],
            category=theme.block[0],
            area=theme.block[1].ljust(12, "0"),
            count=len(lines),
            content={
                "words": words,
                "previous": len(self.previous.get(place, [])) if self._has(self.window.before()) else None,
                "last_year": len(self.last_year.get(place, []))
                if self._has(self.window.last_year())
                else None,
                "callers": len({line.caller for line in lines if line.caller is not None}),
                "days": [days[number] for number in range(self.window.days)],
                "block": {
                    "count": self.in_block[theme.block],
                    "usual": rise.usual if rise else None,
                    "score": rise.score if rise else None,
                    "sudden": bool(rise and rise.sudden),
                },
            },
            tickets=theme.tickets,
        )

    def _has(self, window: Window) -> bool:
        """Whether the platforms were at work in that window at all."""
        return any(each.first <= window.first for each in self.baseline)

    def problems(self) -> list[Hotspot]:
        """Where the same came again after it had been ended."""
        found: list[tuple[int, int, Cluster, str, list[Line]]] = []
        for place, theme in enumerate(self.kept):
            by_area: dict[str, list[Line]] = {}
            for line in [*self.previous.get(place, []), *(self.lines[key] for key in theme.tickets)]:
                by_area.setdefault(line.area, []).append(line)
            for area, lines in by_area.items():
                again = _again(lines, self.window.first)
                if again:
                    found.append((again, place, theme, area, lines))
        found.sort(key=lambda each: (-each[0], each[1], each[3]))
        return [
            Hotspot(
                kind=HotspotKind.PROBLEM,
                rank=rank,
                title=self._problem_title(theme, area)[:200],
                category=theme.block[0],
                area=area,
                count=len(lines),
                content={"again": again, "theme": place + 1},
                tickets=sorted(line.id for line in lines),
            )
            for rank, (again, place, theme, area, lines) in enumerate(found[:MOST_PROBLEMS], 1)
        ]

    def _problem_title(self, theme: Cluster, area: str) -> str:
        what = self.category_names.get(theme.block[0], theme.block[0])
        return f"{self.area_names.get(area, area)}·{what}"

    def callers(self) -> list[Hotspot]:
        """Who called again and again, by the blind index alone."""
        by_caller: dict[bytes, list[Line]] = {}
        for line in self.lines.values():
            if line.caller is not None:
                by_caller.setdefault(line.caller, []).append(line)
        often = [(key, lines) for key, lines in by_caller.items() if len(lines) >= LEAST_CALLS]
        often.sort(key=lambda each: (-len(each[1]), min(line.id for line in each[1])))
        return [self._caller(rank, key, lines) for rank, (key, lines) in enumerate(often[:MOST_CALLERS], 1)]

    def _caller(self, rank: int, key: bytes, lines: list[Line]) -> Hotspot:
        handle = self.office.sealer.digest(f"repeated caller {key.hex()}").hex()[:8]
        categories = Counter(line.category for line in lines).most_common(3)
        return Hotspot(
            kind=HotspotKind.CALLER,
            rank=rank,
            title=f"来电人 {handle}",
            category=categories[0][0],
            area=Counter(line.area for line in lines).most_common(1)[0][0],
            count=len(lines),
            content={
                "categories": [
                    {"category": each, "name": self.category_names.get(each, each), "count": count}
                    for each, count in categories
                ],
                "first": min(line.day for line in lines).isoformat(),
                "last": max(line.day for line in lines).isoformat(),
            },
            tickets=sorted(line.id for line in lines),
        )


def _again(lines: list[Line], since: date) -> int:
    """How many were received, within the window, after an earlier one of them had been ended."""
    ends = [line.ended_at for line in lines if line.ended_at is not None]
    first = min(ends, default=None)
    if first is None:
        return 0
    return sum(1 for line in lines if line.day >= since and line.received_at > first)


# --- whole categories --------------------------------------------------------------------------------------------------------


def _rising_categories(
    session: Session, platforms: Sequence[int], window: Window, baseline: Sequence[Window]
) -> list[dict[str, Any]]:
    """The leaf categories that rise suddenly over all places, from the cube."""
    windows = [window, *baseline]
    values = {
        "platforms": list(platforms),
        "firsts": [each.first for each in windows],
        "lasts": [each.last for each in windows],
    }
    counts: dict[str, list[int]] = {}
    for category, number, count in session.execute(text(_BY_CATEGORY), values):
        counts.setdefault(category, [0] * len(windows))[number - 1] = int(count)
    told: list[dict[str, Any]] = []
    for category, (now, *others) in counts.items():
        rise = rises.judged(now, others)
        if rise is not None and rise.sudden:
            told.append({"category": category, "count": now, "usual": rise.usual, "score": rise.score})
    names = "SELECT code, name FROM categories WHERE code = ANY(CAST(:codes AS text[]))"
    codes = [each["category"] for each in told]
    named: dict[str, str] = dict(map(tuple, session.execute(text(names), {"codes": codes})))
    told.sort(key=lambda each: (-each["score"], each["category"]))
    return [each | {"name": named.get(each["category"], each["category"])} for each in told[:MOST_PROBLEMS]]


_BY_CATEGORY: Final = """
SELECT c.key, w.number, sum(c.n) FROM report_cube c
JOIN unnest(CAST(:firsts AS date[]), CAST(:lasts AS date[])) WITH ORDINALITY AS w (first, last, number)
    ON c.starts BETWEEN w.first AND w.last
WHERE c.grain = 'day' AND c.dim = 'category' AND c.what = 'received' AND c.platform_id = ANY(CAST(:platforms AS bigint[]))
GROUP BY 1, 2
"""
