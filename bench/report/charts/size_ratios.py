"""Chart the ratio of epoch times by a size (examples, batch size or replicas), with intervals.

Usage:
    for figure in size_figures(run): ...
"""

import math
from collections.abc import Iterator
from typing import Any

import altair as alt
import pandas as pd

from bench.analysis.comparison.overhead import Curve, overhead
from bench.report.charts.chart_series import shorten_label
from bench.report.charts.chart_theme import (
    PALETTE,
    PANEL_HEIGHT_PX,
    PANEL_PX,
    WIDTH_PX,
    apply_theme,
    colours,
    dashes,
    reference,
    shapes,
)
from bench.report.charts.figure import OVERVIEW, Figure, drawn_of
from bench.report.charts.ratio_chart import tooltip, with_interval_ends
from bench.report.charts.report_data import CUT_SHORT, ReportData
from bench.report.text.number_text import UNKNOWN
from bench.report.text.omission_text import omission_note
from bench.report.text.ratio_text import ratio_interval

SIZES = {
    "examples": "Examples in an epoch",
    "global_batch_size": "Global batch size",
    "replicas": "Replicas",
}
"""The axes by which a ratio is drawn, and their titles."""
MAX_PANELS = 12


def size_figures(run: ReportData) -> Iterator[Figure]:
    """Chart each comparison of an axis by each other size that the run varies."""
    for index, column in enumerate(run.summary.columns):
        for size in SIZES:
            if size in run.axes and column.axis in run.axes and column.axis != size:
                curves = overhead(run.trials, column.axis, run.baseline(column), size, run.turns)
                frame = _frame(curves)
                if len(frame):
                    yield _figure(frame, index, curves[0], run.cut_short)


def _frame(curves: tuple[Curve, ...]) -> pd.DataFrame:
    """Return one row per point; ``least`` and ``most`` are the ends of simultaneous intervals."""
    rows = []
    for curve in curves:
        panel = shorten_label(", ".join(f"{k}={v}" for k, v in curve.settings.items()))
        for point in curve.points:
            if point.ratio is not None and len(curve.points) > 1:
                r, label = point.ratio, f"{curve.axis}={curve.value}, {curve.along}={point.size}"
                ratio = label, r.value, r.low, r.high, r.blocks
                ends = point.simultaneous_low, point.simultaneous_high
                rows.append((*ratio, point.size, curve.value, panel, *ends))
    names = ["label", "ratio", "low", "high", "blocks", "x", "series", "panel", "least", "most"]
    floats = dict.fromkeys(("ratio", "low", "high", "least", "most"), float)
    return pd.DataFrame(rows, columns=names).astype(floats)


def _figure(frame: pd.DataFrame, index: int, curve: Curve, cut_short: bool) -> Figure:
    against, title = f"{curve.axis}={curve.baseline}", SIZES[curve.along]
    panels, names = list(dict.fromkeys(frame["panel"])), list(dict.fromkeys(frame["series"]))
    shown = frame["panel"].isin(panels[:MAX_PANELS]) & frame["series"].isin(names[: len(PALETTE)])
    chart = _chart(frame[shown], names[: len(PALETTE)], curve, title)
    return Figure(
        name=f"ratios-{index + 1}-by-{curve.along.replace('_', '-')}",
        title=f"Epoch time over that of {against}, by {title.lower()}",
        about=(
            f"The ratio of epoch times to {against} along {title.lower()}, a colour, a shape and "
            "a dash for each value. Thick lines are 95 % intervals, each by itself; thin ones "
            "hold for all points of a curve at once. At 1 the two take equally long."
            + (CUT_SHORT if cut_short else "")
        ),
        chart=apply_theme(_panels(chart, panels[:MAX_PANELS])),
        headers=("Group", "Variant", "Ratio [95 % interval]", "Simultaneous", "Blocks"),
        rows=tuple(_rows(frame)),
        omission_note=omission_note(
            drawn_of(len(panels), MAX_PANELS, "groups"),
            drawn_of(len(names), len(PALETTE), "values"),
            elsewhere=OVERVIEW,
        ),
    )


def _chart(frame: pd.DataFrame, names: list[str], curve: Curve, title: str) -> Any:
    log: dict[str, Any] = {"type": "log", "nice": False}
    number = "~s" if curve.along == "examples" else "d"
    ticks = alt.Axis(values=sorted(set(frame["x"])), format=number, grid=False)
    y: dict[str, Any] = {
        "title": f"Epoch time ÷ {curve.axis}={curve.baseline}",
        "scale": alt.Scale(**log, padding=8),
        "axis": alt.Axis(tickCount=6, grid=True),
    }
    key: dict[str, Any] = {"title": curve.axis, "sort": names, "legend": alt.Legend()}
    x = alt.X("x:Q", title=f"{title} (log scale)", scale=alt.Scale(**log, padding=14), axis=ticks)
    base = alt.Chart().encode(
        x=x,
        color=alt.Color("series:N", scale=colours(names), **key),
    )
    dash = alt.StrokeDash("series:N", scale=dashes(names), **key)
    return alt.layer(
        reference("y"),
        base.mark_line(opacity=0.8).encode(y=alt.Y("ratio:Q", **y), strokeDash=dash),
        base.mark_rule(size=1).encode(y=alt.Y("least_shown:Q", **y), y2="most_shown:Q"),
        base.mark_rule(size=3).encode(y=alt.Y("low_shown:Q", **y), y2="high_shown:Q"),
        base.mark_point(filled=True, size=70, opacity=1).encode(
            y=alt.Y("ratio:Q", **y),
            shape=alt.Shape("series:N", scale=shapes(names), **key),
            tooltip=tooltip(),
        ),
        data=_with_ends(frame),
    )


def _with_ends(frame: pd.DataFrame) -> pd.DataFrame:
    ends = with_interval_ends(frame.assign(low=frame["least"], high=frame["most"]))
    return with_interval_ends(frame).assign(
        least_shown=ends["low_shown"], most_shown=ends["high_shown"]
    )


def _panels(chart: Any, panels: list[str]) -> Any:
    if len(panels) == 1:
        return chart.properties(width=WIDTH_PX - 100, height=PANEL_HEIGHT_PX + 80)
    sized = chart.properties(width=PANEL_PX, height=PANEL_HEIGHT_PX)
    facets = sized.facet(facet=alt.Facet("panel:N", sort=panels), columns=2)
    return facets.resolve_axis(x="independent")  # otherwise a short last row is far from its axis


def _rows(frame: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    row: Any
    for row in frame.itertuples():
        has_ends = not math.isnan(row.least)
        simultaneous = ratio_interval(row.ratio, row.least, row.most) if has_ends else UNKNOWN
        individual = ratio_interval(row.ratio, row.low, row.high)
        yield row.panel, row.label, individual, simultaneous, str(row.blocks)
