"""Define the look of all charts: colours that are safe for colour-blind readers, shapes, dashes.

Usage:
    apply_theme(chart)
    alt.Color("series:N", scale=colours(names))

The palette is from M. Okabe and K. Ito, Color Universal Design, 2008, ordered so that neighbours
differ, without its black and yellow, which vanish on a dark and on a white page. Text and lines
use ``currentColor``, so that one drawing serves light and dark pages and paper.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = PALETTE = (
    *("#0072B2", "#D55E00", "#009E73"),
    *("#CC79A7", "#E69F00", "#56B4E9"),
)
GREY = "#767676"
"""For the baseline and secondary marks: a contrast of at least 4.5:1 on white and on black."""
SHAPES = ("circle", "triangle-up", "square", "diamond", "cross", "triangle-down")
DASHES: tuple[list[int], ...] = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 2], [1, 3])

WIDTH_PX, PANEL_PX, PANEL_HEIGHT_PX, ROW_PX = 640, 270, 180, 30

_TEXT = {"labelColor": "currentColor", "titleColor": "currentColor"}


def colours(names: Sequence[str], baseline: str | None = None) -> alt.Scale:
    """Give each name a colour; the baseline is grey."""
    return _scale(names, baseline, PALETTE, GREY)


def shapes(names: Sequence[str], baseline: str | None = None) -> alt.Scale:
    """Give each name a point shape."""
    return _scale(names, baseline, SHAPES, "stroke")


def dashes(names: Sequence[str], baseline: str | None = None) -> alt.Scale:
    """Give each name a dash pattern; the baseline is solid."""
    return _scale(names, baseline, DASHES, [1, 0])


def apply_theme(chart: Any) -> Any:
    """Apply the common look to ``chart``."""
    return (
        chart.configure(background="transparent", aria=False, font="sans-serif")
        .configure_view(stroke=None)
        .configure_axis(
            **_TEXT,
            domainColor="currentColor",
            tickColor="currentColor",
            gridColor="currentColor",
            gridOpacity=0.15,
            labelFontSize=11,
            titleFontSize=12,
            titleFontWeight="normal",
        )
        .configure_axisY(labelLimit=300)
        .configure_legend(
            **_TEXT,
            orient="top",
            labelFontSize=12,
            symbolOpacity=1,
            titleFontWeight="normal",
            labelLimit=240,
        )
        .configure_header(**_TEXT, labelFontSize=12, labelLimit=PANEL_PX, title=None)
    )


def label_axis() -> Any:
    """Return an axis for labels that may have several lines, starting at or above their mark."""
    return alt.Axis(labelExpr="split(datum.label, '\\n')", labelLineHeight=13, grid=False)


def reference(channel: str) -> Any:
    """Return the reference line at a ratio of 1: equal times."""
    position: dict[str, Any] = {channel: alt.datum(1)}
    return alt.Chart().mark_rule(strokeDash=[4, 4], color="currentColor").encode(**position)


def _scale(
    names: Sequence[str], baseline: str | None, values: Sequence[Any], baseline_value: Any
) -> alt.Scale:
    others = [name for name in names if name != baseline]
    value_of = {name: values[i % len(values)] for i, name in enumerate(others)}
    if baseline is not None:
        value_of[baseline] = baseline_value
    return alt.Scale(domain=list(names), range=[value_of[name] for name in names])
