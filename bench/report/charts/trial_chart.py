"""Chart the epoch times of one trial; the page supplies the data when a reader opens a trial.

Usage:
    spec = trial_spec()            # expects data "epochs" with epoch, time and kind
"""

from typing import Any

import altair as alt

from bench.report.charts.chart_theme import BLUE, VERMILLION, WIDTH_PX, apply_theme
from bench.report.charts.epoch_times import KINDS


def trial_spec() -> dict[str, Any]:
    """Return a Vega-Lite specification without data."""
    kinds = list(KINDS)
    integer_axis = alt.Axis(labelExpr="datum.value % 1 ? '' : datum.label", format="d")
    colour = alt.Scale(domain=kinds, range=[BLUE, VERMILLION])
    shape = alt.Scale(domain=kinds, range=["circle", "triangle-up"])
    chart = (
        alt.Chart(alt.NamedData("epochs"))
        .mark_point(size=50, filled=True, opacity=1)
        .encode(
            x=alt.X("epoch:Q", title="Epoch", axis=integer_axis),
            y=alt.Y("time:Q", title="Epoch time (s)", scale=alt.Scale(zero=False)),
            color=alt.Color("kind:N", title="epoch", sort=kinds, scale=colour),
            shape=alt.Shape("kind:N", title="epoch", sort=kinds, scale=shape),
            tooltip=["epoch:Q", "time:Q", "kind:N"],
        )
        .properties(width=WIDTH_PX, height=160)
    )
    return dict(apply_theme(chart).to_dict())
