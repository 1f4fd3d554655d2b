"""Chart each variant's ratio of epoch time to the baseline's, with its interval and its blocks.

Usage:
    for figure in ratio_figures(run): ...
"""

from collections.abc import Iterator
from typing import Any

import altair as alt
import pandas as pd

from bench.report.charts.chart_series import chart_labels, wrap_label
from bench.report.charts.chart_theme import (
    BLUE,
    GREY,
    ROW_PX,
    WIDTH_PX,
    apply_theme,
    label_axis,
    reference,
)
from bench.report.charts.figure import OVERVIEW, Figure, drawn_of
from bench.report.charts.report_data import CUT_SHORT, ReportData
from bench.report.text.omission_text import omission_note
from bench.report.text.ratio_text import block_ratios_text, ratio_interval

MAX_ROWS, MAX_TABLE = 60, 500
BEYOND = 4.0
"""Intervals are drawn up to this factor beyond the extreme ratios."""


def ratio_figures(run: ReportData) -> Iterator[Figure]:
    """Chart each comparison of the suite for which some block holds both arms."""
    for index, column in enumerate(run.summary.columns):
        frame = ratios(run, index)
        if len(frame):
            against = f"{column.axis}={column.baseline}"
            yield _figure(frame, block_points(run, index), against, index, run.cut_short)


def ratios(run: ReportData, index: int) -> pd.DataFrame:
    """Return label, ratio, low, high and blocks of each variant in comparison ``index``.

    ``each_block`` lists the ratios of the blocks.
    """
    labels, rows = chart_labels(run), []
    for v in run.summary.variants:
        comparison = v.comparisons[index]
        if comparison is not None and comparison.ratio is not None and v.variant_id in labels.index:
            r = comparison.ratio
            each_block = block_ratios_text(comparison)
            rows.append((labels[v.variant_id], r.value, r.low, r.high, r.blocks, each_block))
    names = ["label", "ratio", "low", "high", "blocks", "each_block"]
    return pd.DataFrame(rows, columns=names).astype({"ratio": float, "low": float, "high": float})


def block_points(run: ReportData, index: int) -> pd.DataFrame:
    """Return label, block and ratio of each block of each variant in comparison ``index``."""
    labels = chart_labels(run)
    rows = [
        (labels[v.variant_id], each.block, each.ratio)
        for v in run.summary.variants
        if v.variant_id in labels.index and (comparison := v.comparisons[index]) is not None
        for each in comparison.block_ratios
    ]
    return pd.DataFrame(rows, columns=["label", "block", "ratio"])


def with_interval_ends(frame: pd.DataFrame) -> pd.DataFrame:
    """Add ``low_shown`` and ``high_shown``: a very wide interval must not flatten the others."""
    least, most = _ends_shown(frame)
    columns = frame[["ratio", "low", "high"]]
    return frame.assign(
        low_shown=frame["low"].fillna(frame["ratio"]).clip(least),
        high_shown=frame["high"].fillna(frame["ratio"]).clip(upper=most),
        text=[ratio_interval(r, low, high) for r, low, high in columns.itertuples(index=False)],
    )


def _ends_shown(frame: pd.DataFrame) -> tuple[float, float]:
    return frame["ratio"].min() / BEYOND, frame["ratio"].max() * BEYOND


def tooltip() -> list[Any]:
    """Return the tooltip of a point."""
    titles = {"label:N": "variant", "text:N": "ratio", "blocks:Q": "blocks"}
    return [alt.Tooltip(field, title=title) for field, title in titles.items()]


def _figure(
    frame: pd.DataFrame, points: pd.DataFrame, against: str, index: int, cut_short: bool
) -> Figure:
    shown = frame.head(MAX_TABLE)
    return Figure(
        name=f"ratios-{index + 1}",
        title=f"Epoch time over that of {against}",
        about=(
            f"One point per variant: its epoch time over that of {against}, paired within blocks; "
            "the line is the 95 % interval, each grey tick the ratio of one block. Right of 1 is "
            "slower. If the line crosses 1, the data do not show which is faster."
            + (CUT_SHORT if cut_short else "")
        ),
        chart=apply_theme(_chart(frame.head(MAX_ROWS), points, against)),
        headers=("Variant", "Ratio of epoch times [95 % interval]", "Blocks", "In each block"),
        rows=tuple(
            (label, ratio_interval(ratio, low, high), str(blocks), each)
            for label, ratio, low, high, blocks, each in shown.itertuples(index=False)
        ),
        omission_note=omission_note(drawn_of(len(frame), MAX_ROWS, "variants"), elsewhere=OVERVIEW),
    )


def _chart(frame: pd.DataFrame, points: pd.DataFrame, against: str) -> Any:
    points = points[points["label"].isin(frame["label"])]
    points = points.assign(
        label=points["label"].map(wrap_label),
        shown=points["ratio"].clip(*_ends_shown(frame)),
    )
    scale = alt.Scale(type="log", nice=False, padding=12)
    title = f"Epoch time ÷ {against} (log scale)"
    axis = alt.Axis(tickCount=6, grid=True)
    base = alt.Chart().encode(y=alt.Y("label:N", sort=None, title=None, axis=label_axis()))
    return alt.layer(
        reference("x"),
        alt.Chart(points)
        .mark_tick(color=GREY, thickness=2)
        .encode(
            y=alt.Y("label:N", sort=None, title=None, axis=label_axis()),
            x=alt.X("shown:Q", title=title, scale=scale, axis=axis),
            tooltip=[alt.Tooltip("block:Q"), alt.Tooltip("ratio:Q", format=".3f")],
        ),
        base.mark_rule(size=2, color=BLUE).encode(
            x=alt.X("low_shown:Q", title=title, scale=scale, axis=axis), x2="high_shown:Q"
        ),
        base.mark_point(filled=True, size=60, opacity=1, color=BLUE).encode(
            x=alt.X("ratio:Q", title=title, scale=scale, axis=axis), tooltip=tooltip()
        ),
        data=with_interval_ends(frame.assign(label=frame["label"].map(wrap_label))),
    ).properties(width=WIDTH_PX - 240, height=ROW_PX * len(frame))
