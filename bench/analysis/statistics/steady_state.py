"""Decide from the change points of its epoch times whether a trial reached a steady state.

Usage:
    steady_verdicts(counts, seconds, steps, warmup)     # one verdict per trial

The rule was fixed before any run. A trial's time is the median of its timed epochs, so it is the
time of one level if the last level holds for more than half of them. A verdict is a mark and
excludes nothing: every completed trial counts with its median, since a rule that drops trials for
their shape drops the smoothest series first (docs/methodology.md). Only the shape of the series
decides, never the length of an epoch. ``change_points`` finds the levels.
"""

from typing import Any, Literal

import numpy as np

from bench.analysis.statistics.change_points import (
    TOLERANCE,
    fits_line_better,
    noise_of,
    segment_means,
    without_spikes,
)

_Array = np.ndarray[Any, np.dtype[Any]]

Verdict = Literal["flat", "warm_up", "drifting", "unsettled", "unclassified"]
"""flat: one level; warm_up: other levels, then one that lasts; drifting: a line explains more than
levels do, or no level lasts and all changes have the same sign; unsettled: no level lasts;
unclassified: too few epochs."""

UNSTEADY_VERDICTS: frozenset[Verdict] = frozenset({"drifting", "unsettled"})
"""Verdicts on trials whose median is not the time of one level; tables mark them."""
MIN_STEPS = 200
MIN_EPOCHS = 10
"""Trials with fewer steps or fewer epochs are unclassified."""
_MAX_CELLS = 4_000_000
"""Epochs that are classified at once, to limit memory."""


def steady_verdicts(counts: _Array, seconds: _Array, steps: _Array, warmup: _Array) -> _Array:
    """Return the verdict on each trial.

    Args:
        counts: the number of epochs of each trial.
        seconds: the epoch times of all trials, one trial after another.
        steps: the number of steps of each trial, over all its epochs.
        warmup: the number of warm-up epochs of each trial.
    """
    starts = np.cumsum(counts) - counts
    verdicts = np.full(len(counts), "unclassified")
    is_long = (counts >= MIN_EPOCHS) & (steps >= MIN_STEPS)
    for n in np.unique(counts[is_long]):
        rows = np.flatnonzero(is_long & (counts == n))
        for part in np.array_split(rows, 1 + len(rows) * int(n) // _MAX_CELLS):
            logs = np.log(seconds[starts[part][:, None] + np.arange(n)])
            verdicts[part] = _classify(logs, warmup[part])
    return verdicts


def _classify(logs: _Array, warmup: _Array) -> _Array:
    """Return the verdict on each row of ``logs`` (trials by epochs)."""
    n = logs.shape[1]
    noise = noise_of(logs)
    logs = without_spikes(logs, noise)
    level = segment_means(logs, noise)
    changes = np.diff(level, axis=1)
    is_other = np.abs(level - level[:, -1:]) > TOLERANCE
    last_start = np.where(is_other.any(axis=1), n - np.argmax(is_other[:, ::-1], axis=1), 0)
    lasts = 2 * (n - np.maximum(last_start, warmup)) > n - warmup
    one_way = (changes >= 0).all(axis=1) | (changes <= 0).all(axis=1)
    return np.select(
        [fits_line_better(logs, level, warmup, noise), lasts & (last_start == 0), lasts, one_way],
        ["drifting", "flat", "warm_up", "drifting"],
        "unsettled",
    )
