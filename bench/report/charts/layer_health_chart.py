"""Health by depth: gradients and activations of every layer, before and after training.

Usage:
    for figure in health_figures(run): ...          # none where no layer was looked at
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.report.charts.chart_series import chart_labels, group_series
from bench.report.charts.chart_theme import PALETTE, themed
from bench.report.charts.depth_data import (
    MAX_DEPTHS,
    QUANTITIES,
    DepthData,
    by_depth,
    evenly_spaced,
)
from bench.report.charts.figure import Figure
from bench.report.charts.panels import depth_panels
from bench.report.charts.report_data import ReportData
from bench.report.text.number_text import magnitude, plural

_NETWORK = ("workload", "hidden", "depth", "filters")
"""What makes depths those of the same network."""
MAX_FIGURES, MAX_LINES, MAX_TABLE, TABLE_DEPTHS = 6, len(PALETTE), 500, 8


@dataclass(frozen=True)
class _Lines:
    """The variants of one figure, by what its legend calls them."""

    names: dict[str, str]
    """By variant id."""
    about: str = ""
    """The settings that all of them share and others do not."""
    key: str = ""
    """What the names are values of, or ""."""
    baseline: str | None = None


def health_figures(run: ReportData) -> Iterator[Figure]:
    """One for each few variants of those that were looked at, the first ones."""
    found = list(_sets(run))
    for number, lines in enumerate(found[:MAX_FIGURES], start=1):
        drawn = by_depth(run.health_of(lines.names))
        name = "health" if len(found) == 1 else f"health-{number}"
        asked = run.variants.loc[list(lines.names), "health_epochs"] != "[0]"
        ended = int(asked.sum()) - drawn.after
        yield _figure(lines, drawn, name, _omission_note(drawn, ended, len(found)))


def _sets(run: ReportData) -> Iterator[_Lines]:
    """By a compared axis where it has few values, else a few variants of one network at a time."""
    looked = set(run.trials.loc[run.trials["health_epochs"] != "[]", "variant_id"])
    grouped = group_series(run)
    if run.summary.columns and grouped.title:
        frame = grouped.frame[grouped.frame["variant_id"].isin(looked)]
        for panel, rows in frame.groupby("panel", sort=False):
            found = rows.sort_values("series", key=lambda s: s.map(grouped.names.index))
            names = dict(zip(found["variant_id"].tolist(), found["series"].tolist(), strict=True))
            yield _Lines(names, str(panel), grouped.title, grouped.baseline)
        return
    label_of = chart_labels(run)
    networks = run.variants[run.variants.index.isin(looked)].groupby(list(_NETWORK), sort=False)
    for _, rows in networks:
        known = [(str(v), label_of[v]) for v in rows.index]
        size = -(-len(known) // -(-len(known) // MAX_LINES))  # as many in each chart
        for first in range(0, len(known), size):
            yield _Lines(dict(known[first : first + size]))


def _figure(lines: _Lines, drawn: DepthData, name: str, omissions: str) -> Figure:
    frame = drawn.frame.assign(series=drawn.frame["variant_id"].map(lines.names))
    order = [n for n in lines.names.values() if n in set(frame["series"])]
    return Figure(
        name=name,
        title=f"Health by depth, {lines.about}" if lines.about else "Health by depth",
        about=(
            "Each layer's gradient norm, and mean and variance of what its activation gives, by "
            "depth: products (dense or convolution) from the input. Below, the part of its outputs "
            "near a bound (sigmoid, tanh and their like) or of its units that are 0 for every "
            "example (relu). Medians over a variant's trials, on 512 training examples. A cross on "
            "the upper edge is no finite number, a 0 on the lower one is exactly 0."
        ),
        chart=_with_long_names(
            themed(depth_panels(frame, drawn.moments, order, lines.key, lines.baseline))
        ),
        headers=("Variant", "When", "Depth", *(q.title for q in QUANTITIES)),
        rows=tuple(_rows(frame))[:MAX_TABLE],
        omission_note=omissions,
    )


def _with_long_names(chart: Any) -> Any:
    """``chart`` with a legend that cuts no label where there is room for it."""
    chart.config.legend.labelLimit, chart.config.legend.columns = 300, 2
    return chart


def _rows(frame: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    depths = evenly_spaced(sorted(frame["depth"].unique().tolist()), TABLE_DEPTHS)
    kept = frame[frame["depth"].isin(depths)]
    keys = ["series", "moment", "depth"]
    wide = kept.pivot(index=keys, columns="quantity", values="value")
    order = kept.drop_duplicates(keys)[keys].itertuples(index=False, name=None)
    titles = [q.title for q in QUANTITIES]
    for key in order:
        found = wide.loc[key].to_dict()
        texts = (magnitude(found.get(title, math.nan), 3) for title in titles)
        yield str(key[0]), str(key[1]), str(key[2]), *texts


def _omission_note(drawn: DepthData, ended: int, sets: int) -> str:
    parts: list[Any] = [
        sets > MAX_FIGURES and f"{MAX_FIGURES} of {sets} groups of variants are drawn",
        drawn.depths > MAX_DEPTHS and f"{MAX_DEPTHS} of {drawn.depths} depths are, evenly chosen",
        ended and f"{plural(ended, 'variant')} of this chart ended before a look after training",
    ]
    said = "; ".join(part for part in parts if part)
    return f"{said}: bench.load_health has all looks." if said else ""
