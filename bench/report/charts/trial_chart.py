"""The time of each epoch of one trial; the page gives it the data of the trial that is opened.

Usage:
    spec = trial_spec()            # its data is called "epochs": epoch, time, kind
"""

from typing import Any

import altair as alt

from bench.report.charts.chart_theme import BLUE, VERMILLION, WIDTH_PX, themed
from bench.report.charts.epoch_times import KINDS


def trial_spec() -> dict[str, Any]:
    """A Vega-Lite specification without data."""
    kinds = list(KINDS)
    whole = alt.Axis(labelExpr="datum.value % 1 ? '' : datum.label", format="d")
    colour = alt.Scale(domain=kinds, range=[BLUE, VERMILLION])
    shape = alt.Scale(domain=kinds, range=["circle", "triangle-up"])
    chart = (
        alt.Chart(alt.NamedData("epochs"))
        .mark_point(size=50, filled=True, opacity=1)
        .encode(
            x=alt.X("epoch:Q", title="Epoch", axis=whole),
            y=alt.Y("time:Q", title="Epoch time (s)", scale=alt.Scale(zero=False)),
            color=alt.Color("kind:N", title="epoch", sort=kinds, scale=colour),
            shape=alt.Shape("kind:N", title="epoch", sort=kinds, scale=shape),
            tooltip=["epoch:Q", "time:Q", "kind:N"],
        )
        .properties(width=WIDTH_PX, height=160)
    )
    return dict(themed(chart).to_dict())
