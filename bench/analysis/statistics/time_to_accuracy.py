"""Compare how long arms train to reach a target accuracy, where some trials never do.

Usage:
    compare_times(trials, epochs, 0.85, variant_id, baseline_id)       # a TimeRatio

The time is that of all epochs, warm-up included, up to the end of the first epoch whose validation
accuracy is at least the target. It is infinite if the target was not reached, and such trials are
never left out: medians and order-statistic intervals need no finite mean (W. J. Conover, Practical
Nonparametric Statistics, 3rd ed. 1999, section 3.2). A trial that diverged did not reach the
target, whatever its epochs say. Trials that failed in any other way are not used.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from bench.analysis.statistics.intervals import CONFIDENCE, Ratio, paired_ratio
from bench.analysis.statistics.session_units import ensure_sessions

_Array = np.ndarray[Any, np.dtype[np.float64]]

MIN_VALUES = 6
"""With fewer values no two order statistics enclose the median in 95 % of cases; the ends of six do
in 1 - 2 / 2^6 = 96.9 %."""
CONCLUSIVE_STATUSES = ("completed", "diverged")
"""Statuses that decide whether the target was reached; other trials are inconclusive."""


@dataclass(frozen=True, slots=True)
class Median:
    """A median, possibly infinite, and its interval; None for fewer than ``MIN_VALUES`` values."""

    value: float
    low: float | None
    high: float | None
    coverage: float | None
    """The coverage of the interval, at least 0.95: order statistics allow only certain values."""
    n: int
    reached: int


@dataclass(frozen=True, slots=True)
class TimeRatio:
    """The median over blocks of one arm's time to the target over that of the other.

    Its interval is of order statistics, whatever the data: a choice between it and t by whether all
    trials reached the target would cover less than it says. With several sessions the median and
    its interval are those of the sessions' medians.

    A block in which only one arm reached the target has a ratio of 0 or infinity. A block in which
    neither did could have any ratio: it counts as 0 for the lower end and as infinity for the
    upper.
    """

    value: float | None
    """None if it depends on blocks in which neither arm reached the target."""
    low: float | None
    high: float | None
    coverage: float | None
    n: int
    """Blocks with a conclusive trial of both arms."""
    sessions: int
    units: int
    """The values that the median is over: blocks, or sessions if there are several."""
    both: int
    only_a: int
    only_b: int
    neither: int
    parametric: Ratio | None
    """The mean of the logarithms with its t interval, to set beside the median; None unless both
    arms reached the target in every block."""


def seconds_to_target(epochs: pd.DataFrame, target: float) -> "pd.Series[float]":
    """Return the training time to ``target`` in seconds by trial id; infinite if not reached."""
    elapsed = epochs.groupby("trial_id", sort=False)["epoch_s"].cumsum()
    times = elapsed.where(epochs["val_accuracy"] >= target, np.inf)
    return times.groupby(epochs["trial_id"], sort=False).min()


def compare_times(
    trials: pd.DataFrame, epochs: pd.DataFrame, target: float, variant_id: str, baseline_id: str
) -> TimeRatio:
    """Divide the times of ``variant_id`` by those of ``baseline_id``, block by block.

    Both trials of a block must come from the same invocation and part; if several parts have both,
    the first counts.
    """
    timed = with_target_times(trials, epochs, target).dropna(subset=["time_s"])
    timed = ensure_sessions(timed)
    keys = ["block", "part", "invocation", "session"]
    arms = (timed[timed["variant_id"] == v] for v in (variant_id, baseline_id))
    a, b = (arm[[*keys, "time_s"]] for arm in arms)
    both = a.merge(b, on=keys, suffixes=("", "_b")).sort_values(["block", "part"])
    both = both.drop_duplicates("block")
    return time_ratio(both["time_s"].tolist(), both["time_s_b"].tolist(), both["session"].tolist())


def time_ratio(
    a: Sequence[float], b: Sequence[float], sessions: Sequence[int] | None = None
) -> TimeRatio:
    """Return the ratio of the times ``a`` and ``b`` of the same blocks, in seconds or infinite.

    ``sessions`` has the session of each block. Blocks of one session are not independent of each
    other, so each of several sessions gives one value.
    """
    times_a, times_b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    reached_a, reached_b = np.isfinite(times_a), np.isfinite(times_b)
    ratios = np.divide(
        times_a, times_b, where=reached_a | reached_b, out=np.full(len(times_a), np.nan)
    )
    lowest, highest = (
        median_interval(_session_medians(np.where(np.isnan(ratios), unknown, ratios), sessions))
        for unknown in (0.0, np.inf)
    )
    return TimeRatio(
        value=lowest.value if lowest.value == highest.value else None,
        low=lowest.low,
        high=highest.high,
        coverage=lowest.coverage,
        n=len(times_a),
        sessions=len(set(sessions)) if sessions else min(len(times_a), 1),
        units=lowest.n,
        both=int((reached_a & reached_b).sum()),
        only_a=int((reached_a & ~reached_b).sum()),
        only_b=int((~reached_a & reached_b).sum()),
        neither=int((~reached_a & ~reached_b).sum()),
        parametric=paired_ratio(a, b, sessions)
        if len(times_a) and (reached_a & reached_b).all()
        else None,
    )


def _session_medians(ratios: _Array, sessions: Sequence[int] | None) -> _Array:
    """Return ``ratios``, or with several sessions the median of each."""
    if len(set(sessions or [])) < 2:
        return ratios
    codes = np.array(sessions)
    return np.array([median_interval(ratios[codes == s]).value for s in dict.fromkeys(codes)])


def median_interval(values: _Array) -> Median:
    """Return the median of ``values``, some infinite, and its narrowest interval.

    The ends of the interval are order statistics.
    """
    ordered = np.sort(values)
    n, reached = len(ordered), int(np.isfinite(ordered).sum())
    middle = float((ordered[(n - 1) // 2] + ordered[n // 2]) / 2) if n else math.nan
    # The ends are the k-th values from below and above; the median lies outside them with
    # probability 2 P(Bin <= k - 1).
    beyond = 2 * special.bdtr(np.arange(n), n, 0.5)
    k = int(np.count_nonzero(beyond[: n // 2] <= 1 - CONFIDENCE))
    if not k:
        return Median(middle, None, None, None, n, reached)
    attained = float(1 - beyond[k - 1])
    return Median(middle, float(ordered[k - 1]), float(ordered[n - k]), attained, n, reached)


def with_target_times(trials: pd.DataFrame, epochs: pd.DataFrame, target: float) -> pd.DataFrame:
    """Add a column ``time_s`` to ``trials``: infinite if not reached, NaN if inconclusive."""
    times = trials["trial_id"].map(seconds_to_target(epochs, target)).astype(float)
    never = times.isna() | (trials["status"] == "diverged")
    times = times.mask(never, np.inf)
    return trials.assign(time_s=times.where(trials["status"].isin(CONCLUSIVE_STATUSES)))
