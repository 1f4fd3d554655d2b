"""Chart the time of every epoch, without averaging, in one strip per variant.

Usage:
    figure = epoch_times_figure(run)       # None if no trial completed an epoch
"""

from typing import Any

import altair as alt
import pandas as pd

from bench.records.metric import METRICS
from bench.report.charts.chart_series import chart_labels, wrap_label
from bench.report.charts.chart_theme import (
    BLUE,
    ROW_PX,
    VERMILLION,
    WIDTH_PX,
    apply_theme,
    label_axis,
)
from bench.report.charts.figure import Figure, drawn_of
from bench.report.charts.report_data import ReportData
from bench.report.text.number_text import number, scale_of
from bench.report.text.omission_text import omission_note, omitted

MAX_VARIANTS, MAX_POINTS = 40, 60
KINDS = ("steady", "warm-up")
_QUANTILES = {"Least": "min", "Median": "median", "Most": "max"}
_KIND = {False: KINDS[0], True: KINDS[1]}
_WIDE = 8.0
"""The ratio of extremes beyond which the axis is logarithmic."""


def epoch_times_figure(run: ReportData) -> Figure | None:
    """Draw one mark per epoch of each completed trial; thin out many epochs evenly by rank."""
    epochs = run.epochs_of_variants
    if epochs.empty:
        return None
    names = chart_labels(run).map(wrap_label)
    variants = names.index[names.index.isin(epochs["variant_id"].unique())].tolist()
    scale = scale_of([float(epochs["epoch_s"].median())], METRICS["epoch_s"])
    frame = epochs.assign(time=epochs["epoch_s"] / scale.divisor)
    candidates = frame[frame["variant_id"].isin(variants[:MAX_VARIANTS])]
    shown = _thin_out(candidates).merge(run.trials[["trial_id", "block"]], on="trial_id")
    shown["kind"] = shown["warmup"].map(_KIND)
    shown["name"] = shown["variant_id"].map(names)
    order = [names[v] for v in variants[:MAX_VARIANTS]]
    return Figure(
        name="epoch-times",
        title="Time of every epoch",
        about=(
            "One mark per epoch of each completed trial, one strip per variant. Circles are steady "
            "epochs, which count; triangles are warm-up epochs, which are shown but do not count."
        ),
        chart=apply_theme(_chart(shown, order, scale.unit)),
        headers=("Variant", "Kind", "Epochs", *(f"{q} ({scale.unit})" for q in _QUANTILES)),
        rows=_rows(frame),
        omission_note=omission_note(
            drawn_of(len(variants), MAX_VARIANTS, "variants"),
            omitted(
                len(shown),
                len(candidates),
                "epochs are drawn, chosen evenly by rank with both extremes",
            ),
            elsewhere="epochs.csv has all",
        ),
    )


def _thin_out(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep ``MAX_POINTS`` epochs of a variant and kind: both extremes, the others by rank."""
    columns = ["variant_id", "trial_id", "warmup", "epoch", "time"]
    ranked = frame[columns].sort_values("time", kind="stable")
    groups = ranked.groupby(["variant_id", "warmup"])
    rank, size = groups.cumcount(), groups["time"].transform("size")
    last = (size - 1).clip(lower=1)
    slot = rank * (MAX_POINTS - 1) // last
    before = (rank - 1) * (MAX_POINTS - 1) // last
    return ranked[(size <= MAX_POINTS) | (slot != before)]


def _chart(shown: pd.DataFrame, order: list[str], unit: str) -> Any:
    least, most = shown["time"].min(), shown["time"].max()
    log = least > 0 and most / least > _WIDE
    scale = alt.Scale(type="log", nice=False, padding=10) if log else alt.Scale(zero=False)
    title = f"Epoch time ({unit}{', log scale' if log else ''})"
    kinds = list(KINDS)
    picked = alt.selection_point(name="picked", fields=["kind"], bind="legend")
    data = shown.rename(columns={"trial_id": "trial"})[
        ["name", "kind", "time", "trial", "block", "epoch"]
    ]
    return (
        alt.Chart(data)
        .mark_point(size=34, filled=False, strokeWidth=1.5)
        .encode(
            x=alt.X("time:Q", title=title, scale=scale),
            y=alt.Y("name:N", sort=order, title=None, axis=label_axis()),
            color=alt.Color(
                "kind:N",
                sort=kinds,
                title="epoch",
                scale=alt.Scale(domain=kinds, range=[BLUE, VERMILLION]),
            ),
            shape=alt.Shape(
                "kind:N",
                sort=kinds,
                title="epoch",
                scale=alt.Scale(domain=kinds, range=["circle", "triangle-up"]),
            ),
            opacity=alt.when(picked).then(alt.value(0.75)).otherwise(alt.value(0.08)),
            tooltip=["name:N", "time:Q", "kind:N", "trial:N", "block:Q", "epoch:Q"],
        )
        .add_params(picked)
        .properties(width=WIDTH_PX - 240, height=ROW_PX * len(order))
    )


def _rows(frame: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    groups = frame.groupby(["variant_id", "warmup"], sort=False)
    first = groups["label"].first()
    counts = groups["time"].size()
    quantiles = groups["time"].agg(list(_QUANTILES.values()))
    return tuple(
        (first[key], _KIND[key[1]], str(counts[key]), *(number(value, 4) for value in values))
        for key, *values in list(quantiles.itertuples())[:500]
    )
