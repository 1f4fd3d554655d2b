"""Measure what one value of an axis costs over another, by size: examples, batch or replicas.

Usage:
    for curve in overhead(trials, "norm", "none", along="examples"):
        for point in curve.points:
            point.size, point.ratio, point.simultaneous_low, point.simultaneous_high

Each size has a paired ratio with its own 95 % t interval, and a simultaneous interval: those of all
sizes of a curve hold together in 95 % of cases. They are Bonferroni's, which hold however the sizes
are correlated within a block (O. J. Dunn, Multiple comparisons among means, JASA 56, 1961).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from bench.analysis.comparison.matched_pairs import BlockCounts, count_blocks, matched_groups
from bench.analysis.statistics.intervals import (
    CONFIDENCE,
    MIN_DF,
    Estimate,
    Ratio,
    geometric_interval,
    ratio,
    units_needed,
)
from bench.analysis.statistics.session_units import session_units
from bench.analysis.statistics.turn_ratios import Windows


@dataclass(frozen=True, slots=True)
class Point:
    """Both arms at one size, over the blocks that have both; None if no block does."""

    size: int
    ratio: Ratio | None
    simultaneous_low: float | None
    simultaneous_high: float | None
    seconds: Estimate | None
    """Of an epoch: the geometric mean over the blocks of the ratio."""
    baseline_seconds: Estimate | None
    deviation: float | None
    """Standard deviation of the log ratios over blocks, or over sessions if there are several."""
    counts: BlockCounts


@dataclass(frozen=True, slots=True)
class Curve:
    """One value of an axis against its baseline by size, all other settings equal."""

    axis: str
    value: str
    baseline: str
    along: str
    settings: Mapping[str, str]
    """What distinguishes this curve from others of the same value."""
    points: tuple[Point, ...]
    confidence: float
    """Probability with which the simultaneous intervals hold for all points together."""


def overhead(
    trials: pd.DataFrame, axis: str, baseline: str, along: str, turns: Windows | None = None
) -> tuple[Curve, ...]:
    """Return a curve for each other value of ``axis`` and each setting of the other axes.

    ``along`` is the axis of the sizes, ``turns`` is as for ``match_pairs``.
    """
    curves = []
    for value, settings, rows in matched_groups(trials, axis, baseline, along, turns):
        sizes = list(rows.groupby(along))
        points = tuple(_point(int(str(size)), subset, len(sizes)) for size, subset in sizes)
        curves.append(Curve(axis, value, baseline, along, settings, points, CONFIDENCE))
    return tuple(curves)


def log_ratio(rows: pd.DataFrame, column: str = "log") -> tuple[Ratio | None, float | None]:
    """Return the ratio of ``column``, one logarithm per row, and the deviation of its units.

    With several sessions, each gives one estimate, and the interval is over sessions.
    """
    valid = rows[rows[column].notna()]
    if valid.empty:
        return None, None
    unit_values = session_units(valid.assign(key=0), "key", column)[column]
    deviation = float(unit_values.std(ddof=1)) if len(unit_values) > 1 else math.nan
    sessions = int(valid["session"].nunique())
    estimated = ratio(len(unit_values), float(unit_values.mean()), deviation, len(valid), sessions)
    return estimated, None if len(unit_values) < 2 else deviation


def additional_units(point: Point, effect: float) -> int | None:
    """Return how many blocks or sessions to add to detect ``effect``.

    None if unknown, or if the deviation has fewer than ``MIN_DF`` degrees of freedom.
    """
    if point.ratio is None or point.deviation is None or point.ratio.n <= MIN_DF:
        return None
    total = units_needed(point.deviation, effect)
    return None if total is None else max(0, total - point.ratio.n)


def _point(size: int, rows: pd.DataFrame, sizes: int) -> Point:
    estimated, deviation = log_ratio(rows)
    used = rows[rows["used"]]
    low, high = simultaneous_interval(estimated, deviation, sizes)
    return Point(
        size=size,
        ratio=estimated,
        simultaneous_low=low,
        simultaneous_high=high,
        seconds=_seconds(used, "epoch_s"),
        baseline_seconds=_seconds(used, "epoch_s_b"),
        deviation=deviation,
        counts=count_blocks(rows),
    )


def simultaneous_interval(
    estimated: Ratio | None, deviation: float | None, sizes: int
) -> tuple[float | None, float | None]:
    """Return the ends of ``estimated`` that hold together with those of all ``sizes`` sizes."""
    if estimated is None or estimated.low is None or deviation is None:
        return None, None
    tail = (1 - CONFIDENCE) / 2 / sizes
    half = float(special.stdtrit(estimated.n - 1, 1 - tail)) * deviation / math.sqrt(estimated.n)
    if half > 700:  # exp(half) overflows
        return 0.0, math.inf
    return estimated.value * math.exp(-half), estimated.value * math.exp(half)


def _seconds(used: pd.DataFrame, column: str) -> Estimate | None:
    if used.empty:
        return None
    logs = used.assign(key=0, log_s=np.log(used[column]))
    return geometric_interval(np.exp(session_units(logs, "key", "log_s")["log_s"]).tolist())
