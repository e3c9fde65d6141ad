"""What each bench's figures mean in the one table: rows of what, ours, peer or limit, ratio, must, aim, whether met."""

from collections.abc import Callable
from typing import Any, NamedTuple

Figures = dict[str, Any]


class Row(NamedTuple):
    """One line; `met` and `aim_met` are None where there is nothing to be met, or not at this size."""

    what: str
    ours: object
    peer: object = ""
    ratio: object = ""
    must: str = ""
    aim: str = ""
    met: bool | None = None
    aim_met: bool | None = None


class Bench(NamedTuple):
    """How a bench is run and read. `quick` and `full` are its arguments for these sizes, None where it has no such size."""

    rows: Callable[[Figures], list[Row]]
    quick: tuple[str, ...] | None = ("--quick",)
    full: tuple[str, ...] | None = None
    needs: str | None = None
    """A path it cannot do without, as this program's option."""


def told_as_rows(figures: Figures) -> list[Row]:
    """Of a bench that tells its rows itself."""
    return [Row(**{name: row[name] for name in Row._fields if name in row}) for row in figures["rows"]]


def _working_days(f: Figures) -> list[Row]:
    ours, theirs = f["per_second"]["WorkCalendar.add"], f["per_second"]["workalendar China"]
    what = "due date, one call, a second"
    return [
        Row(what, ours, theirs, f["times_workalendar"], ">= 100 x", "", f["must_met"]),
        Row("the same, of a bare table", ours, "", f["of_bare_table"], "", ">= 0.33 x", None, f["aim_met"]),
    ]


def _sweep(f: Figures) -> list[Row]:
    few, many = (f["ms_per_lapsed_clock"][name] for name in ("few", "many"))
    return [
        Row(
            "sweep, ms a lapsed clock, many open beside few",
            many,
            few,
            f["ratio"],
            "<= 1.2 x",
            "=",
            f["must_met"],
        )
    ]


def _outbox(f: Figures) -> list[Row]:
    return [
        Row("deliveries a second, beside the sender alone", f["deliveries_per_second"], f["sender_alone_per_second"],
            f["share_of_sender_alone"], f">= {f['must_per_second']}", "", f["deliveries_per_second"] >= f["must_per_second"]),
        Row("commit to receiver at 100 acts/s, p95 ms", f["pace"]["p95_ms"], "", "", f"<= {f['must_p95_ms']}",
            f"<= {f['aim_p95_ms']}", f["pace"]["p95_ms"] <= f["must_p95_ms"]),
        Row("events lost or out of order", not (f["nothing_lost"] and f["in_order"]), "", "", "none", "", f["nothing_lost"] and f["in_order"]),
    ]  # fmt: skip


def _live(f: Figures) -> list[Row]:
    p95 = f["pace"]["p95_ms"]
    return [
        Row(
            "commit to another screen, p95 ms",
            p95,
            "",
            "",
            f"<= {f['must_p95_ms']}",
            f"<= {f['aim_p95_ms']}",
            f["must_met"],
        )
    ]


def _desks(f: Figures) -> list[Row]:
    return [
        Row(
            f"{name}, p95 ms",
            f["ms_p50_p95"][name][1],
            "",
            "",
            f"<= {f['must_ms']:g}",
            "",
            f["ms_p50_p95"][name][1] <= f["must_ms"],
        )
        for name in ("likely duplicates", "counts of all queues")
    ]


def _reports(f: Figures) -> list[Row]:
    best, must = f["best_full_report"], f["must_full_report"]
    judged = f["size"] != "quick"
    return [
        Row("unit x month report, of one plain SQL", f["ratio_to_plain_sql"], 1, f["ratio_to_plain_sql"], f"<= {f['must_ratio']:g} x",
            "<= 0.05 x", f["ratio_to_plain_sql"] <= f["must_ratio"] if judged else None),
        Row("the month's full report, s", best, "", "", f"<= {must:g}", "", best <= must),
        Row("cube and plain SQL tell the same", f["same_figures"], "", "", "yes", "", f["same_figures"]),
    ]  # fmt: skip


def _hotspots(f: Figures) -> list[Row]:
    return [
        Row(
            "hot spots of a window, s, beside a plain GROUP BY",
            f["seconds"],
            f["plain_sql_seconds"],
            f["ratio"],
            "",
            "",
            f["must_met"],
        )
    ]


def _rotation(f: Figures) -> list[Row]:
    p95 = f["p95_ms"]
    return [
        Row(
            "keys rotated under load: requests' p95 ms",
            p95["during"],
            p95["before"],
            "",
            f"<= {f['must_p95_ms']}",
            "",
            f["must_met"],
        )
    ]


def _console(f: Figures) -> list[Row]:
    rows = []
    for name, limit in f["limits"].items():
        one = f["seen"][name]
        seen = one["p95"] if "p95" in one else one["p50"]
        rows.append(Row(name, seen, "", "", f"<= {limit}", "", seen <= limit))
    return rows


def _knowledge(f: Figures) -> list[Row]:
    first = f["latency"][0]
    rows = [
        Row(f"knowledge search, {first['articles']:,} articles, p99 ms", first["p99_ms"], "", "", f"<= {f['must']['p99_ms']}",
            "same at 1 M", first["p99_ms"] <= f["must"]["p99_ms"]),
    ]  # fmt: skip
    return [
        *rows,
        Row("knowledge: recall and latency together", f["must_met"], "", "", "yes", "", f["must_met"]),
    ]


def _served(f: Figures) -> list[Row]:
    return [Row(f"knowledge search over HTTP, {f['articles']:,} articles, p95 ms", f.get("p95_ms", ""))]


BENCHES: dict[str, Bench] = {
    "acts": Bench(told_as_rows),
    "growth": Bench(told_as_rows, full=("--full",)),
    "lists": Bench(told_as_rows, full=("--full",)),
    "working_days": Bench(_working_days),
    "sweep": Bench(_sweep),
    "reports": Bench(_reports, full=("--full",)),
    "outbox": Bench(_outbox),
    "live": Bench(_live),
    "desks": Bench(_desks),
    "hotspots": Bench(_hotspots),
    "rotation": Bench(_rotation),
    "console": Bench(_console),
    "knowledge": Bench(_knowledge, needs="questions"),
    "knowledge_served": Bench(_served, quick=("--articles", "20000")),
}
"""In the order they run."""
NO_BENCHES = {
    "recompute": "counts a month of an existing database anew; needs its address",
    "shots": "takes the manual's pictures",
}
"""Programs in this folder that measure nothing."""
