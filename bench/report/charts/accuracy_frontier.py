"""Chart accuracy against training time, with the variants that no other beats in both.

Usage:
    for figure in frontier_figures(run): ...          # one per dataset
"""

from collections.abc import Iterator
from typing import Any

import altair as alt
import pandas as pd

from bench.analysis.questions.frontier import Candidate, frontier
from bench.records.metric import METRICS
from bench.report.charts.chart_series import shorten_label
from bench.report.charts.chart_theme import BLUE, GREY, WIDTH_PX, apply_theme
from bench.report.charts.figure import OVERVIEW, Figure, drawn_of
from bench.report.charts.report_data import ReportData
from bench.report.text.number_text import Scale, interval, scale_of
from bench.report.text.omission_text import omission_note

MAX_POINTS, MAX_TABLE = 300, 500
ON, OFF = "on the frontier", "beaten in both"
_AS_RUN = " For shortened epochs, time and accuracy are those of the steps that ran."
_DIGITS = METRICS["test_accuracy"].digits


def frontier_figures(run: ReportData) -> Iterator[Figure]:
    """Chart each dataset for which at least two variants have a training time and an accuracy."""
    all_candidates = frontier(run.trials)
    datasets = dict.fromkeys(c.dataset for c in all_candidates)
    for number, dataset in enumerate(datasets, start=1):
        candidates = [c for c in all_candidates if c.dataset == dataset]
        if len(candidates) > 1:
            name = "frontier" if len(datasets) == 1 else f"frontier-{number}"
            yield _figure(candidates, dataset, name, run.cut_short)


def _figure(candidates: list[Candidate], dataset: str, name: str, cut_short: bool) -> Figure:
    scale = scale_of((c.seconds.value for c in candidates), METRICS["epoch_s"])
    # The frontier comes first, so that the limit never removes it.
    shown = sorted(candidates, key=lambda c: not c.on_frontier)[:MAX_POINTS]
    return Figure(
        name=name,
        title=f"Test accuracy against training time, {dataset}",
        about=(
            "One point per variant: the time of all its epochs and its final test accuracy, "
            "with 95 % intervals. Blue circles joined by a line are the frontier: no other variant "
            "is as accurate in less time. Grey squares are beaten in both, by the estimates."
            + (_AS_RUN if cut_short else "")
        ),
        chart=apply_theme(_chart(_frame(shown, scale), scale)),
        headers=("Variant", f"Training time ({scale.unit})", "Test accuracy", "Frontier"),
        rows=tuple(_row(c, scale) for c in candidates[:MAX_TABLE]),
        omission_note=omission_note(
            drawn_of(len(candidates), MAX_POINTS, "variants"), elsewhere=OVERVIEW
        ),
    )


def _row(c: Candidate, scale: Scale) -> tuple[str, ...]:
    t, a = c.seconds, c.accuracy
    state = "yes" if c.on_frontier else "no, and clearly" if c.clearly_dominated else "no"
    seconds = interval(t.value, t.low, t.high, 3, scale)
    return c.label, seconds, interval(a.value, a.low, a.high, _DIGITS), state


def _frame(candidates: list[Candidate], scale: Scale) -> pd.DataFrame:
    rows = [
        (
            *(shorten_label(c.label), c.seconds.value / scale.divisor, c.accuracy.value),
            *((end or c.seconds.value) / scale.divisor for end in (c.seconds.low, c.seconds.high)),
            *(c.accuracy.value if e is None else e for e in (c.accuracy.low, c.accuracy.high)),
            *_row(c, scale)[1:3],
            ON if c.on_frontier else OFF,
        )
        for c in candidates
    ]
    names = ["label", "time", "accuracy", "t_low", "t_high", "a_low", "a_high", "t", "a", "state"]
    return pd.DataFrame(rows, columns=names)


def _chart(frame: pd.DataFrame, scale: Scale) -> Any:
    wide = bool(frame["time"].max() > 8 * frame["time"].min())
    log: Any = alt.Scale(type="log", nice=False, padding=14) if wide else alt.Scale(zero=False)
    x_title = f"Training time ({scale.unit}{', log scale' if wide else ''})"
    states = [ON, OFF]
    colour = alt.Scale(domain=states, range=[BLUE, GREY])
    shape = alt.Scale(domain=states, range=["circle", "square"])
    upright = alt.Scale(zero=False)
    key: dict[str, Any] = {"title": None, "sort": states}
    base = alt.Chart().encode(color=alt.Color("state:N", scale=colour, **key))
    x = alt.X("time:Q", title=x_title, scale=log)
    y = alt.Y("accuracy:Q", title="Test accuracy", scale=upright)
    # Clip intervals: a wide one, from few blocks, must not flatten the others.
    least, most = frame["time"].min() / 4, frame["time"].max() * 4
    shown = frame.assign(t_low=frame["t_low"].clip(least), t_high=frame["t_high"].clip(upper=most))
    return alt.layer(
        alt.Chart()
        .transform_filter(alt.datum.state == ON)
        .mark_line(interpolate="step-after", color=BLUE, strokeDash=[5, 3])
        .encode(x=x, y=y),
        base.mark_rule(opacity=0.5).encode(
            x=alt.X("t_low:Q", title=x_title, scale=log), x2="t_high:Q", y=y
        ),
        base.mark_rule(opacity=0.5).encode(
            x=x, y=alt.Y("a_low:Q", title="Test accuracy", scale=upright), y2="a_high:Q"
        ),
        base.mark_point(filled=True, size=70, opacity=1).encode(
            x=x,
            y=y,
            shape=alt.Shape("state:N", scale=shape, **key),
            tooltip=[
                alt.Tooltip("label:N", title="variant"),
                alt.Tooltip("t:N", title=x_title),
                alt.Tooltip("a:N", title="test accuracy"),
            ],
        ),
        data=shown,
    ).properties(width=WIDTH_PX - 60, height=300)
