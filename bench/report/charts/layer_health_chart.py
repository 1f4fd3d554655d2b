"""Chart the gradients and activations of every layer by depth, before and after training.

Usage:
    for figure in health_figures(run): ...          # none if the run recorded no layer health
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.report.charts.chart_series import chart_labels, group_series
from bench.report.charts.chart_theme import PALETTE, apply_theme
from bench.report.charts.depth_data import (
    MAX_DEPTHS,
    QUANTITIES,
    DepthData,
    by_depth,
    evenly_spaced,
)
from bench.report.charts.figure import Figure, drawn_of
from bench.report.charts.panels import depth_panels
from bench.report.charts.report_data import ReportData
from bench.report.text.number_text import magnitude, plural
from bench.report.text.omission_text import omission_note, omitted

_NETWORK = ("workload", "hidden", "depth", "filters")
"""The settings that variants must share for their depths to be comparable."""
MAX_FIGURES, MAX_LINES, MAX_TABLE, TABLE_DEPTHS = 6, len(PALETTE), 500, 8


@dataclass(frozen=True)
class _Lines:
    """The variants of one figure, and their names in its legend."""

    names: dict[str, str]
    """Names by variant id."""
    about: str = ""
    """The settings that distinguish these variants from those of other figures."""
    key: str = ""
    """The axis that the names are values of, or ""."""
    baseline: str | None = None


def health_figures(run: ReportData) -> Iterator[Figure]:
    """Make up to ``MAX_FIGURES`` charts, each of a few variants with layer health."""
    charts = list(_charts(run))
    for number, lines in enumerate(charts[:MAX_FIGURES], start=1):
        data = by_depth(run.health_of(lines.names))
        name = "health" if len(charts) == 1 else f"health-{number}"
        trained = run.variants.loc[list(lines.names), "health_epochs"] != "[0]"
        ended_early = int(trained.sum()) - data.trained
        yield _figure(lines, data, name, _omission_note(data, ended_early, len(charts)))


def _charts(run: ReportData) -> Iterator[_Lines]:
    """Group variants by a compared axis if it has few values, otherwise by network."""
    with_health = set(run.trials.loc[run.trials["health_epochs"] != "[]", "variant_id"])
    groups = group_series(run)
    if run.summary.columns and groups.title:
        frame = groups.frame[groups.frame["variant_id"].isin(with_health)]
        for panel, rows in frame.groupby("panel", sort=False):
            ordered = rows.sort_values("series", key=lambda s: s.map(groups.names.index))
            ids, series = ordered["variant_id"].tolist(), ordered["series"].tolist()
            names = dict(zip(ids, series, strict=True))
            yield _Lines(names, str(panel), groups.title, groups.baseline)
        return
    labels = chart_labels(run)
    variants = run.variants[run.variants.index.isin(with_health)]
    for _, rows in variants.groupby(list(_NETWORK), sort=False):
        items = [(str(v), labels[v]) for v in rows.index]
        size = -(-len(items) // -(-len(items) // MAX_LINES))  # an equal number in each chart
        for first in range(0, len(items), size):
            yield _Lines(dict(items[first : first + size]))


def _figure(lines: _Lines, data: DepthData, name: str, omissions: str) -> Figure:
    frame = data.frame.assign(series=data.frame["variant_id"].map(lines.names))
    order = [n for n in lines.names.values() if n in set(frame["series"])]
    return Figure(
        name=name,
        title=f"Health by depth, {lines.about}" if lines.about else "Health by depth",
        about=(
            "Each layer's gradient norm, and the mean and variance of its activation's outputs, by "
            "depth: the number of dense or convolution layers from the input. Below, the part of "
            "its outputs near a bound (sigmoid, tanh and similar) or of its units that are 0 for "
            "every example (relu). Medians over a variant's trials, on 512 training examples. A "
            "cross at the upper edge is not a finite number, a 0 at the lower edge is exactly 0."
        ),
        chart=_with_long_names(
            apply_theme(depth_panels(frame, data.moments, order, lines.key, lines.baseline))
        ),
        headers=("Variant", "When", "Depth", *(q.title for q in QUANTITIES)),
        rows=tuple(_rows(frame))[:MAX_TABLE],
        omission_note=omissions,
    )


def _with_long_names(chart: Any) -> Any:
    """Widen the legend of ``chart``, so that it does not truncate labels that fit."""
    chart.config.legend.labelLimit, chart.config.legend.columns = 300, 2
    return chart


def _rows(frame: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    depths = evenly_spaced(sorted(frame["depth"].unique().tolist()), TABLE_DEPTHS)
    shown = frame[frame["depth"].isin(depths)]
    keys = ["series", "moment", "depth"]
    wide = shown.pivot(index=keys, columns="quantity", values="value")
    order = shown.drop_duplicates(keys)[keys].itertuples(index=False, name=None)
    titles = [q.title for q in QUANTITIES]
    for key in order:
        values = wide.loc[key].to_dict()
        texts = (magnitude(values.get(title, math.nan), 3) for title in titles)
        yield str(key[0]), str(key[1]), str(key[2]), *texts


def _omission_note(data: DepthData, ended: int, charts: int) -> str:
    return omission_note(
        drawn_of(charts, MAX_FIGURES, "groups of variants"),
        omitted(min(data.depths, MAX_DEPTHS), data.depths, "depths are drawn, evenly chosen"),
        f"{plural(ended, 'variant')} ended before the measurement after training" if ended else "",
        elsewhere="bench.load_health has all measurements",
    )
