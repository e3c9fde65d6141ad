"""图: charts drawn by matplotlib, as SVG for PDFs and PNG for Word; the same chart makes the same bytes. Told apart without colour too."""

import io
from functools import cache
from typing import Any, Final

from hotline.printing.documents import Chart, written
from hotline.printing.fonts import Fonts

_WIDTH: Final = 6.3
_COLOURS: Final = ("#1f4e79", "#c55a11", "#548235")
_HATCHES: Final = (None, "////", "....")
_MARKS: Final = ("o", "s", "^")
_MOST_TICKS: Final = 16


@cache
def _library() -> Any:
    """matplotlib, without its interactive half. Loaded when the first chart is drawn: it takes some time and memory."""
    import matplotlib as mpl
    from matplotlib import figure, font_manager

    mpl.rcParams["svg.hashsalt"] = "hotline12345"
    mpl.rcParams["svg.fonttype"] = "path"
    mpl.rcParams["axes.unicode_minus"] = False
    return figure, font_manager


@cache
def _lettering(file: str, family: str) -> str:
    _, fonts = _library()
    fonts.fontManager.addfont(file)
    return family


def svg(chart: Chart, fonts: Fonts) -> str:
    """The chart as SVG, its letters as outlines."""
    made = io.BytesIO()
    _drawn(chart, fonts).savefig(made, format="svg", metadata={"Date": None, "Creator": None})
    return made.getvalue().decode()


def png(chart: Chart, fonts: Fonts, *, dpi: int = 200) -> bytes:
    """The chart as PNG."""
    made = io.BytesIO()
    _drawn(chart, fonts).savefig(made, format="png", dpi=dpi, metadata={"Software": None})
    return made.getvalue()


def width() -> float:
    """How wide a chart is, in inches."""
    return _WIDTH


def _drawn(chart: Chart, fonts: Fonts) -> Any:
    """A figure of its own, never pyplot's: several threads draw at once."""
    figures, _ = _library()
    family = _lettering(str(fonts.chart_file), fonts.chart_family)
    height = (
        2.7 if chart.form == "line" else 0.5 + 0.25 * len(chart.labels) * (1 + 0.3 * (len(chart.series) - 1))
    )
    figure = figures.Figure(figsize=(_WIDTH, min(height, 6.0)), layout="constrained")
    axes = figure.add_subplot()
    (_line if chart.form == "line" else _bars)(axes, chart, family)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_fontfamily(family)
        label.set_fontsize(8)
    if len(chart.series) > 1:
        axes.legend(frameon=False, prop={"family": family, "size": 8}, loc="best")
    return figure


def _line(axes: Any, chart: Chart, family: str) -> None:
    places = range(len(chart.labels))
    for number, (name, values) in enumerate(chart.series):
        style = {"color": _COLOURS[number], "marker": _MARKS[number], "markersize": 3, "linewidth": 1.3}
        axes.plot(places, values, label=name, linestyle=("-", "--", ":")[number], **style)
    step = -(-len(chart.labels) // _MOST_TICKS)
    axes.set_xticks(list(places)[::step], list(chart.labels)[::step])
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", linewidth=0.4, color="#bbbbbb")
    axes.set_ylabel("件", fontfamily=family, fontsize=8, rotation=0, labelpad=8)


def _bars(axes: Any, chart: Chart, family: str) -> None:
    rows = len(chart.labels)
    thick = 0.8 / len(chart.series)
    peak = max((value or 0 for _, values in chart.series for value in values), default=0) or 1
    for number, (name, values) in enumerate(chart.series):
        at = [rows - 1 - place + 0.4 - thick * (number + 0.5) for place in range(rows)]
        lengths = [value or 0 for value in values]
        axes.barh(
            at,
            lengths,
            height=thick * 0.9,
            label=name,
            color=_COLOURS[number],
            hatch=_HATCHES[number],
            edgecolor="white",
        )
        for place, value in zip(at, lengths, strict=True):
            # the letters are of the text's own precision: a bar is read by its number
            axes.text(
                value + peak * 0.01,
                place,
                f"{value:.2%}" if chart.kind == "percent" else written(round(value), "count"),
                va="center",
                fontsize=7.5,
                fontfamily=family,
            )
    axes.set_yticks(range(rows), list(reversed(chart.labels)))
    axes.set_xlim(0, peak * 1.13)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
