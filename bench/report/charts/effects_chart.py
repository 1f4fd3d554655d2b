"""Chart the effect of each setting of a matrix on epoch time, averaged and by other settings.

Usage:
    figure = effects_figure(run)          # None unless the run is a matrix of several factors
"""

from typing import Any

import altair as alt
import pandas as pd

from bench.analysis.comparison.effects import Effect, effects
from bench.report.charts.chart_series import wrap_label
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
from bench.report.charts.ratio_chart import with_interval_ends
from bench.report.charts.report_data import CUT_SHORT, ReportData
from bench.report.text.number_text import UNKNOWN, number
from bench.report.text.omission_text import omission_note
from bench.report.text.ratio_text import ratio_interval

MAX_ROWS, MAX_FACTORS, MAX_LEVELS = 40, 5, 30
_CHECK = ("Mixed model, a cross-check",)
KINDS = ("on average over all others", "under one other setting")


def effects_figure(run: ReportData) -> Figure | None:
    """Estimate the effects of all factors that vary, from one model of the whole matrix."""
    factors = [axis for axis in run.axes if axis in run.trials]
    levels = sum(run.variants[factor].astype(str).nunique() for factor in factors)
    if not run.suite.get("matrix") or not 2 <= len(factors) <= MAX_FACTORS or levels > MAX_LEVELS:
        return None
    compared = [c for c in run.summary.columns if c.axis in factors]
    model = effects(run.trials, factors, {c.axis: run.baseline(c) for c in compared})
    axes = {c.axis for c in compared} or set(factors)
    shown = [e for e in model.effects if e.ratio is not None and e.factor in axes]
    if not shown:
        return None
    frame, mixed = _frame(shown), any(e.mixed for e in shown)
    columns = ["label", "kind", "text", "ratio", "check"]
    return Figure(
        name="effects",
        title="What each setting does to the time of an epoch",
        about=(
            "Ratios of median epochs, not of turns, from one model of the whole matrix: blue "
            "circles are effects averaged over all other settings, grey squares those with one "
            "other setting fixed. Lines are 95 % intervals, each by itself."
            + (CUT_SHORT if run.cut_short else "")
        ),
        chart=apply_theme(_chart(frame.head(MAX_ROWS))),
        headers=(
            "Effect",
            "Kind",
            "Ratio [95 % interval]",
            "In percent",
            *(_CHECK if mixed else ()),
        ),
        rows=tuple(
            (label, kind, text, f"{number(100 * (ratio - 1), 2)} %", *((check,) if mixed else ()))
            for label, kind, text, ratio, check in frame[columns].itertuples(index=False)
        ),
        omission_note=omission_note(drawn_of(len(frame), MAX_ROWS, "effects"), elsewhere=OVERVIEW),
    )


def _frame(shown: list[Effect]) -> pd.DataFrame:
    rows = [
        (
            *(_label(e), KINDS[e.under is not None], e.ratio.value, e.ratio.low, e.ratio.high),
            ratio_interval(e.mixed.value, e.mixed.low, e.mixed.high) if e.mixed else UNKNOWN,
        )
        for e in sorted(shown, key=lambda e: e.under is not None)
        if e.ratio is not None
    ]
    frame = pd.DataFrame(rows, columns=["label", "kind", "ratio", "low", "high", "check"])
    floats = dict.fromkeys(("ratio", "low", "high"), float)
    numbers = frame[["ratio", "low", "high"]].itertuples(index=False)
    return frame.astype(floats).assign(text=[ratio_interval(r, a, b) for r, a, b in numbers])


def _label(effect: Effect) -> str:
    under = f", under {effect.under[0]}={effect.under[1]}" if effect.under else ""
    return f"{effect.factor}={effect.level} ÷ {effect.baseline}{under}"


def _chart(frame: pd.DataFrame) -> Any:
    kinds = list(KINDS)
    scale = alt.Scale(type="log", nice=False, padding=12)
    axis, title = alt.Axis(tickCount=6, grid=True), "Ratio of epoch times (log scale)"
    colour = alt.Scale(domain=kinds, range=[BLUE, GREY])
    shape = alt.Scale(domain=kinds, range=["circle", "square"])
    key: dict[str, Any] = {"title": None, "sort": kinds}
    base = alt.Chart().encode(
        y=alt.Y("label:N", sort=None, title=None, axis=label_axis()),
        color=alt.Color("kind:N", scale=colour, **key),
    )
    return alt.layer(
        reference("x"),
        base.mark_rule(size=2).encode(
            x=alt.X("low_shown:Q", title=title, scale=scale, axis=axis), x2="high_shown:Q"
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            x=alt.X("ratio:Q", title=title, scale=scale, axis=axis),
            shape=alt.Shape("kind:N", scale=shape, **key),
            tooltip=[
                alt.Tooltip("label:N", title="effect"),
                alt.Tooltip("text:N", title="ratio"),
                alt.Tooltip("kind:N"),
            ],
        ),
        data=with_interval_ends(frame.assign(label=frame["label"].map(wrap_label))),
    ).properties(width=WIDTH_PX - 240, height=ROW_PX * len(frame))
