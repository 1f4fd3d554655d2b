"""How all charts look: colours that the colour-blind tell apart, each with a shape and a dash.

Usage:
    themed(chart)
    alt.Color("series:N", scale=colours(names))

The palette is M. Okabe and K. Ito's, Color Universal Design, 2008, in an order that keeps
neighbours apart, without its black and yellow: they vanish on a dark and on a white page.
Text and lines are in ``currentColor``, so that one drawing serves light, dark and paper.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = PALETTE = (
    *("#0072B2", "#D55E00", "#009E73"),
    *("#CC79A7", "#E69F00", "#56B4E9"),
)
GREY = "#767676"
"""The baseline, and what is compared with nothing: at least 4.5:1 on white and on black."""
SHAPES = ("circle", "triangle-up", "square", "diamond", "cross", "triangle-down")
DASHES: tuple[list[int], ...] = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 2], [1, 3])

WIDTH_PX, PANEL_PX, PANEL_HEIGHT_PX, ROW_PX = 640, 270, 180, 30

_TEXT = {"labelColor": "currentColor", "titleColor": "currentColor"}


def colours(names: Sequence[str], baseline: str | None = None) -> alt.Scale:
    """A colour a name; the baseline is grey."""
    return _scale(names, baseline, PALETTE, GREY)


def shapes(names: Sequence[str], baseline: str | None = None) -> alt.Scale:
    """A point's shape a name."""
    return _scale(names, baseline, SHAPES, "stroke")


def dashes(names: Sequence[str], baseline: str | None = None) -> alt.Scale:
    """A line's dash a name; the baseline is solid."""
    return _scale(names, baseline, DASHES, [1, 0])


def themed(chart: Any) -> Any:
    """``chart`` in the look of all charts."""
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
    """An axis of labels that may have several lines, the first at their mark's height or above."""
    return alt.Axis(labelExpr="split(datum.label, '\\n')", labelLineHeight=13, grid=False)


def reference(channel: str) -> Any:
    """The line at 1, at which two take equally long."""
    where: dict[str, Any] = {channel: alt.datum(1)}
    return alt.Chart().mark_rule(strokeDash=[4, 4], color="currentColor").encode(**where)


def _scale(names: Sequence[str], baseline: str | None, values: Sequence[Any], of: Any) -> alt.Scale:
    others = [name for name in names if name != baseline]
    given = {name: values[i % len(values)] for i, name in enumerate(others)}
    if baseline is not None:
        given[baseline] = of
    return alt.Scale(domain=list(names), range=[given[name] for name in names])
