"""Chart learning curves: the mean accuracy (otherwise loss) over trials by epoch, with a band.

Usage:
    figure = learning_curves_figure(run)          # None if no trial completed an epoch
"""

from typing import Any

import altair as alt
import pandas as pd

from bench.analysis.statistics.intervals import clamp_fraction, estimate
from bench.analysis.statistics.variant_averages import FRACTION_COLUMNS
from bench.report.charts.chart_series import SeriesGroups, group_series
from bench.report.charts.chart_theme import (
    PANEL_HEIGHT_PX,
    PANEL_PX,
    WIDTH_PX,
    apply_theme,
    colours,
    dashes,
    shapes,
)
from bench.report.charts.figure import Figure, drawn_of
from bench.report.charts.report_data import ReportData
from bench.report.text.number_text import interval
from bench.report.text.omission_text import omission_note

MAX_PANELS, MAX_EPOCHS, MAX_TABLE = 12, 200, 500
MEASURES = {
    "val_accuracy": "Validation accuracy",
    "val_loss": "Validation loss",
    "train_loss": "Training loss",
}
"""The first of these that was measured is drawn."""


def learning_curves_figure(run: ReportData) -> Figure | None:
    """Draw the mean and 95 % t interval over the completed trials of each variant, by epoch."""
    epochs = run.epochs_of_variants
    name = next((name for name in MEASURES if epochs[name].notna().any()), None)
    if name is None:
        return None
    groups = group_series(run)
    panels = list(dict.fromkeys(groups.frame["panel"]))
    shown = groups.frame[groups.frame["panel"].isin(panels[:MAX_PANELS])]
    means = _means(epochs[epochs["variant_id"].isin(shown["variant_id"])], name)
    curves = shown.merge(means, on="variant_id")
    title = MEASURES[name]
    return Figure(
        name="learning-curves",
        title=f"{title} by epoch",
        about=(
            f"{title} after each epoch, the mean over a variant's completed trials; the band is "
            "its 95 % interval, for each epoch by itself. Each point is an epoch."
        ),
        chart=apply_theme(_chart(curves, groups, panels[:MAX_PANELS], title)),
        headers=("Variant", "Epoch", f"{title} [95 % interval]", "Trials"),
        rows=_rows(means, run),
        omission_note=omission_note(
            drawn_of(len(panels), MAX_PANELS, "groups"), elsewhere="epochs.csv has all"
        ),
    )


def _means(epochs: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return columns variant_id, epoch, mean, low, high and n."""
    last = int(epochs["epoch"].max())
    step = max(1, -(-(last + 1) // MAX_EPOCHS))  # thin out evenly, but keep the last epoch
    shown = epochs[(last - epochs["epoch"]) % step == 0]
    moments = shown.groupby(["variant_id", "epoch"], sort=False)[name].agg(["count", "mean", "std"])
    rows = []
    for (variant_id, epoch), n, mean, deviation in moments[moments["count"] > 0].itertuples():
        e = estimate(int(n), float(mean), float(deviation))
        e = clamp_fraction(e) if name in FRACTION_COLUMNS else e
        rows.append((variant_id, int(epoch), e.value, e.low, e.high, e.n))
    columns = ["variant_id", "epoch", "mean", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns).astype({"low": float, "high": float})


def _chart(curves: pd.DataFrame, groups: SeriesGroups, panels: list[str], title: str) -> Any:
    names, last = list(groups.names), int(curves["epoch"].max())
    ticks = list(range(0, last + 1, max(1, last // 6)))
    legend = alt.Legend() if len(names) > 1 else None
    key: dict[str, Any] = {"title": groups.title or None, "sort": names, "legend": legend}
    scale = alt.Scale(zero=False)
    picked = alt.selection_point(name="picked", fields=["series"], bind="legend")
    base = alt.Chart().encode(
        x=alt.X("epoch:Q", title="Epoch", axis=alt.Axis(values=ticks, format="d", grid=False)),
        color=alt.Color("series:N", scale=colours(names, groups.baseline), **key),
        opacity=alt.when(picked).then(alt.value(1.0)).otherwise(alt.value(0.12)),
        detail="variant_id:N",
    )
    y = alt.Y("mean:Q", title=title, scale=scale)
    dash = alt.StrokeDash("series:N", scale=dashes(names, groups.baseline), **key)
    shape = alt.Shape("series:N", scale=shapes(names, groups.baseline), **key)
    numbers = curves[["mean", "low", "high"]].itertuples(index=False)
    text = [interval(mean, low, high, 4) for mean, low, high in numbers]
    chart = alt.layer(
        base.mark_area().encode(
            y=alt.Y("low:Q", title=title, scale=scale),
            y2="high:Q",
            opacity=alt.when(picked).then(alt.value(0.15)).otherwise(alt.value(0.03)),
        ),
        base.mark_line(size=2).encode(y=y, strokeDash=dash),
        base.mark_point(filled=True, size=36)
        .encode(
            y=y,
            shape=shape,
            tooltip=[
                alt.Tooltip("series:N", title=groups.title or "series"),
                alt.Tooltip("panel:N", title="group"),
                alt.Tooltip("epoch:Q"),
                alt.Tooltip("text:N", title=title),
                alt.Tooltip("n:Q", title="trials"),
            ],
        )
        .add_params(picked),
        data=curves.assign(text=text),
    )
    many = len(panels) > 1
    chart = chart.properties(
        width=PANEL_PX if many else WIDTH_PX - 100,
        height=PANEL_HEIGHT_PX if many else PANEL_HEIGHT_PX + 80,
    )
    if not many:
        return chart
    facets = chart.facet(facet=alt.Facet("panel:N", sort=panels), columns=2)
    return facets.resolve_axis(x="independent")


def _rows(means: pd.DataFrame, run: ReportData) -> tuple[tuple[str, ...], ...]:
    labels = run.variants["label"]
    return tuple(
        (labels[variant_id], str(epoch), interval(mean, low, high, 4), str(n))
        for variant_id, epoch, mean, low, high, n in means.head(MAX_TABLE).itertuples(index=False)
    )
