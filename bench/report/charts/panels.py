"""Draw panels by depth: one row per quantity, one column per moment, one line per variant.

Usage:
    chart = depth_panels(frame, ("before training", "after 5 epochs"), names, "norm", "none")
"""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from bench.report.charts.chart_theme import PANEL_PX, colours, dashes, shapes
from bench.report.charts.depth_data import QUANTITIES, Quantity, evenly_spaced
from bench.report.text.number_text import magnitude

HEIGHT_PX, EDGE_PX, MARKS = 130, 7, 10
TICKS, MAX_POWER = 5, 307
WIDE = 20.0
"""If a mean is larger than this, its axis is logarithmic far from 0."""
NOT_FINITE, ZERO = "×", "0"


def depth_panels(
    frame: pd.DataFrame,
    moments: Sequence[str],
    names: list[str],
    key: str,
    baseline: str | None,
) -> Any:
    """Draw ``frame``: series, moment, quantity, depth and value."""
    shown = _with_marks(frame, names)
    quantities = [q for q in QUANTITIES if (frame["quantity"] == q.title).any()]
    picked = alt.selection_point(name="picked", fields=["series"], bind="legend")
    legend: dict[str, Any] = {
        "title": key or None,
        "sort": names,
        "legend": alt.Legend() if len(names) > 1 else None,
    }
    base = alt.Chart().encode(
        color=alt.Color("series:N", scale=colours(names, baseline), **legend),
        opacity=alt.when(picked).then(alt.value(1.0)).otherwise(alt.value(0.12)),
    )
    dash = alt.StrokeDash("series:N", scale=dashes(names, baseline), **legend)
    shape = alt.Shape("series:N", scale=shapes(names, baseline), **legend)
    cells = [
        _panel(base, shown, quantity, moment, (dash, shape))
        for quantity in quantities
        for moment in moments
    ]
    # A parameter of one panel applies to all of them.
    cells[0].layer[1] = cells[0].layer[1].add_params(picked)
    return alt.concat(*cells, columns=len(moments), align="all", data=shown, spacing=12)


def _panel(base: Any, shown: pd.DataFrame, quantity: Quantity, moment: str, style: Any) -> Any:
    dash, shape = style
    values = shown.loc[shown["quantity"] == quantity.title, "shown"].dropna().tolist()
    margin = 0.03 * (shown["depth"].max() - shown["depth"].min()) or 0.5
    ends = [float(shown["depth"].min() - margin), float(shown["depth"].max() + margin)]
    depths = alt.Scale(domain=ends, nice=False)
    x = alt.X("place:Q", title="Depth", scale=depths, axis=alt.Axis(format="d", grid=False))
    scale, axis = _scale(values, quantity)
    y = alt.Y("shown:Q", title=None, scale=scale, axis=axis)
    # Each panel has a title, because on a narrow page all panels are in one column.
    heading = f"{quantity.title}, {moment}{', log scale' if quantity.log else ''}"
    title = alt.TitleParams(
        heading, fontSize=12, fontWeight="normal", color="currentColor", anchor="start"
    )
    lines = base.transform_filter(
        (alt.datum.quantity == quantity.title) & (alt.datum.moment == moment)
    )
    marked = lines.transform_filter(alt.datum.marked)
    edges = (
        marked.transform_filter(alt.datum.edge == text)
        .mark_text(fontSize=12, fontWeight="bold", text=text)
        .encode(x=x, y=alt.value(px))
        for text, px in ((NOT_FINITE, EDGE_PX), (ZERO, HEIGHT_PX - EDGE_PX))
    )
    return alt.layer(
        lines.mark_line(size=2).encode(x=x, y=y, strokeDash=dash),
        marked.mark_point(filled=True, size=30).encode(
            x=x,
            y=y,
            shape=shape,
            tooltip=[
                alt.Tooltip("series:N", title="variant"),
                alt.Tooltip("depth:Q"),
                alt.Tooltip("text:N", title=quantity.title.lower()),
            ],
        ),
        *edges,
    ).properties(width=PANEL_PX, height=HEIGHT_PX, title=title)


def _with_marks(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Add what is drawn on the scale, what on an edge (zero, not finite), and which have marks."""
    log = frame["quantity"].map({q.title: q.log for q in QUANTITIES})
    finite = np.isfinite(frame["value"])
    zero = log & (frame["value"] == 0)
    depths = sorted(frame["depth"].unique().tolist())
    # Marks of several variants at one edge are drawn side by side.
    gap = (depths[-1] - depths[0] or 1) / (MARKS * 2 * len(names))
    slots = frame["series"].map({name: i - (len(names) - 1) / 2 for i, name in enumerate(names)})
    edge = np.where(~finite, NOT_FINITE, np.where(zero, ZERO, ""))
    return frame.assign(
        shown=frame["value"].where(finite & ~zero),
        edge=edge,
        marked=frame["depth"].isin(evenly_spaced(depths, MARKS)),
        place=frame["depth"] + np.where(edge == "", 0.0, slots * gap),
        text=[magnitude(v, 3) if math.isfinite(v) else "not finite" for v in frame["value"]],
    ).drop(columns=["variant_id", "value"])


def _scale(values: list[float], quantity: Quantity) -> tuple[Any, Any]:
    """Return the scale and axis of a quantity, the same at all moments, also without values."""
    low, high = min(values, default=1.0), max(values, default=1.0)
    if quantity.is_fraction:
        return alt.Scale(domain=[0, 1]), alt.Axis(tickCount=5)
    if quantity.log:
        low, high = _widen(low, high)
        ticks = _powers(low, high)
        # Within one power of ten, there are no two powers to mark.
        axis = {"values": ticks, "format": ".0e"} if ticks[1:] else {"tickCount": 4, "format": "~g"}
        return alt.Scale(type="log", domain=[low, high], nice=False), alt.Axis(**axis)
    if max(abs(low), abs(high)) <= WIDE:
        margin = 0.05 * (high - low) or 1.0
        return alt.Scale(domain=[low - margin, high + margin], nice=False), alt.Axis(tickCount=5)
    # Linear near 0 and logarithmic far from it, so that exploding values do not flatten the others.
    low, high = min(2 * low, -1.0), max(2 * high, 1.0)
    ticks = [*(-power for power in _powers(10.0, -low)), 0.0, *_powers(10.0, high)]
    label = "datum.value == 0 ? '0' : format(datum.value, '.0e')"
    scale = alt.Scale(type="symlog", domain=[low, high], nice=False)
    return scale, alt.Axis(values=ticks, labelExpr=label)


def _widen(low: float, high: float) -> tuple[float, float]:
    """Add a margin to both ends of a range on a log axis."""
    first, last = math.log10(low), math.log10(high)
    margin = max(0.3, 0.05 * (last - first))
    return 10.0 ** max(first - margin, -MAX_POWER), 10.0 ** min(last + margin, MAX_POWER)


def _powers(low: float, high: float) -> list[float]:
    """Return a few evenly spaced powers of ten from ``low`` to ``high``."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    return [10.0**n for n in range(first, last + 1, max(1, -(-(last - first) // TICKS)))]
