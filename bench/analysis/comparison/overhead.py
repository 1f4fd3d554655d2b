"""What one value of an axis costs over another, along a size: examples, batch or replicas.

Usage:
    for curve in overhead(trials, "norm", "none", along="examples"):
        for point in curve.points:
            point.size, point.ratio, point.simultaneous_low, point.simultaneous_high

Each size has a paired ratio with its own 95 % t interval, and ends that hold for all sizes of
a curve at once in 95 % of cases: Bonferroni's, which hold however sizes go together within a
block (O. J. Dunn, Multiple comparisons among means, JASA 56, 1961).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis.comparison.compare import units
from bench.analysis.comparison.matched_pairs import (
    BlockCounts,
    by_setting,
    count_blocks,
    match_pairs,
    values_of,
)
from bench.analysis.statistics.paired import (
    CONFIDENCE,
    Estimate,
    Ratio,
    geometric_interval,
    ratio,
    units_needed,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Point:
    """Both arms at one size, over the blocks that hold both; None where no block does."""

    size: int
    ratio: Ratio | None
    simultaneous_low: float | None
    simultaneous_high: float | None
    seconds: Estimate | None
    """Of an epoch; geometric mean, of the blocks of the ratio."""
    baseline_seconds: Estimate | None
    deviation: float | None
    """Of the log ratios over blocks, or over sessions where there are several."""
    counts: BlockCounts


@dataclass(frozen=True, slots=True)
class Curve:
    """One value of an axis against its baseline, all other settings equal, by size."""

    axis: str
    value: str
    baseline: str
    along: str
    settings: Mapping[str, str]
    """What tells this curve from others of the same value."""
    points: tuple[Point, ...]
    confidence: float
    """With which the simultaneous ends hold for all points at once."""


def overhead(trials: "pd.DataFrame", axis: str, baseline: str, along: str) -> tuple[Curve, ...]:
    """A curve for each other value of ``axis`` and each setting of all else but ``along``."""
    curves = []
    for value in values_of(trials, axis, baseline):
        pairs = match_pairs(trials, axis, value, baseline)
        for settings, rows in by_setting(pairs, axis, along):
            sizes = list(rows.groupby(along))
            points = tuple(_point(int(str(size)), at, len(sizes)) for size, at in sizes)
            curves.append(Curve(axis, value, baseline, along, settings, points, CONFIDENCE))
    return tuple(curves)


def log_ratio(rows: "pd.DataFrame", column: str = "log") -> tuple[Ratio | None, float | None]:
    """The ratio of ``column``, logarithms one a row, and their deviation over its units.

    With several sessions, each gives one estimate, and the interval is over sessions.
    """
    known = rows[rows[column].notna()]
    if known.empty:
        return None, None
    over = units(known.assign(key=0), "key", column)[column]
    deviation = float(over.std(ddof=1)) if len(over) > 1 else math.nan
    sessions = int(known["session"].nunique())
    found = ratio(len(over), float(over.mean()), deviation, len(known), sessions)
    return found, None if len(over) < 2 else deviation


def further_units(point: Point, effect: float) -> int | None:
    """How many blocks, or sessions, more than ``point`` has; None where nobody can say."""
    if point.ratio is None or point.deviation is None:
        return None
    needed = units_needed(point.deviation, effect)
    return None if needed is None else max(0, needed - point.ratio.n)


def _point(size: int, rows: "pd.DataFrame", sizes: int) -> Point:
    found, deviation = log_ratio(rows)
    used = rows[rows["used"]]
    low, high = simultaneous(found, deviation, sizes)
    return Point(
        size=size,
        ratio=found,
        simultaneous_low=low,
        simultaneous_high=high,
        seconds=_seconds(used, "epoch_s"),
        baseline_seconds=_seconds(used, "epoch_s_b"),
        deviation=deviation,
        counts=count_blocks(rows),
    )


def simultaneous(
    found: Ratio | None, deviation: float | None, sizes: int
) -> tuple[float | None, float | None]:
    """The ends of ``found`` that hold together with those of all ``sizes`` sizes."""
    from scipy import special

    if found is None or deviation is None:
        return None, None
    tail = (1 - CONFIDENCE) / 2 / sizes
    half = float(special.stdtrit(found.n - 1, 1 - tail)) * deviation / math.sqrt(found.n)
    if half > 700:  # beyond all floats
        return 0.0, math.inf
    return found.value * math.exp(-half), found.value * math.exp(half)


def _seconds(used: "pd.DataFrame", column: str) -> Estimate | None:
    import numpy as np

    if used.empty:
        return None
    logs = used.assign(key=0, log_s=np.log(used[column]))
    return geometric_interval(np.exp(units(logs, "key", "log_s")["log_s"]).tolist())
