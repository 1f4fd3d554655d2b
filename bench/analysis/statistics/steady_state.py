"""Whether a trial's epoch times settle, by their change points; those that do not are marked.

Usage:
    found = classified(counts, seconds, steps, warmup)     # found["verdict"], one a trial

The rule, fixed before any run: a trial's time is the median of its counted epochs, so it has
one where its last level holds more than half of those. Trials of which none does (drifting,
unsettled) enter no mean of times, and are counted. Shape alone decides, never how long an
epoch takes. ``segment_means`` says how levels are found.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.analysis.statistics.change_points import (
    TOLERANCE,
    fits_line_better,
    noise_of,
    segment_means,
    without_spikes,
)

if TYPE_CHECKING:
    import numpy as np

    _Array = np.ndarray[Any, np.dtype[Any]]

Verdict = Literal["flat", "warm_up", "drifting", "unsettled", "unclassified"]
"""flat: one level; warm_up: others, then one that lasts; drifting: a line explains more than
levels do, or none lasts and all changes go one way; unsettled: none lasts; unclassified: short."""

SETTLED: tuple[Verdict, ...] = ("flat", "warm_up")
"""Verdicts of trials that are known to have one time."""
EXCLUDED: frozenset[Verdict] = frozenset({"drifting", "unsettled"})
"""Verdicts of trials that enter no mean of times: they are known to have no one time."""
MIN_STEPS = 200
MIN_EPOCHS = 10
"""Of fewer steps, or fewer epochs, nothing is said."""
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class SteadyStates:
    """What is found of each trial; all arrays have their number as length."""

    verdict: "_Array"
    level_from: "_Array"
    """The epoch at which the last level begins; -1 where nothing is said."""
    levels: "_Array"
    drift: "_Array"
    """The last level over the first."""


def steady_states(
    counts: "_Array", seconds: "_Array", steps: "_Array", warmup: "_Array"
) -> SteadyStates:
    """Of trials that have ``counts`` epochs each, one after another in ``seconds``.

    ``steps`` are those of all epochs of a trial, ``warmup`` the number of its warm-up epochs.
    """
    import numpy as np

    n_trials = len(counts)
    starts = np.cumsum(counts) - counts
    found = SteadyStates(
        verdict=np.full(n_trials, "unclassified"),
        level_from=np.full(n_trials, -1),
        levels=np.zeros(n_trials, dtype=int),
        drift=np.full(n_trials, np.nan),
    )
    long = (counts >= MIN_EPOCHS) & (steps >= MIN_STEPS)
    for n in np.unique(counts[long]):
        rows = np.flatnonzero(long & (counts == n))
        for part in np.array_split(rows, 1 + len(rows) * int(n) // _CELLS_AT_ONCE):
            logs = np.log(seconds[starts[part][:, None] + np.arange(n)])
            for name, values in _classified(logs, warmup[part]).items():
                getattr(found, name)[part] = values
    return found


def _classified(logs: "_Array", warm: "_Array") -> "dict[str, _Array]":
    """``logs`` is trials by epochs; the first ``warm`` epochs of each are warm-ups."""
    import numpy as np

    n = logs.shape[1]
    noise = noise_of(logs)
    logs = without_spikes(logs, noise)
    level = segment_means(logs, noise)
    changes = np.diff(level, axis=1)
    far = np.abs(level - level[:, -1:]) > TOLERANCE
    last = np.where(far.any(axis=1), n - np.argmax(far[:, ::-1], axis=1), 0)
    lasts = 2 * (n - np.maximum(last, warm)) > n - warm
    one_way = (changes >= 0).all(axis=1) | (changes <= 0).all(axis=1)
    verdict = np.select(
        [fits_line_better(logs, level, warm, noise), lasts & (last == 0), lasts, one_way],
        ["drifting", "flat", "warm_up", "drifting"],
        "unsettled",
    )
    return {
        "verdict": verdict,
        "level_from": last,
        "levels": 1 + (np.abs(changes) > TOLERANCE).sum(axis=1),
        "drift": np.exp(level[:, -1] - level[:, 0]),
    }
