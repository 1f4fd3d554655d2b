"""Whether a trial's epoch times settle, by their change points; those that do not are marked.

Usage:
    trials = with_verdicts(load_trials(run), load_epochs(run))    # column "steady" filled in

The rule, fixed before any run: a trial's time is the median of its counted epochs, so it has
one where its last level holds more than half of those. Trials of which none does (drifting,
unsettled) enter no mean of times, and are counted. Shape alone decides, never how long an
epoch takes. ``levels`` says how levels are found.
"""

from typing import TYPE_CHECKING, Any, Literal

from bench.analysis.levels import TOLERANCE, levels, line_explains_more, noise_of, without_spikes

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    _Array = np.ndarray[Any, np.dtype[Any]]

Verdict = Literal["flat", "warm_up", "drifting", "unsettled", "unclassified"]
"""flat: one level; warm_up: others, then one that lasts; drifting: a line explains more than
levels do, or none lasts and all changes go one way; unsettled: none lasts; unclassified: short."""

MIN_STEPS = 200
MIN_EPOCHS = 10
"""Of fewer steps, or fewer epochs, nothing is said."""
_CELLS_AT_ONCE = 4_000_000


def verdicts(epochs: "pd.DataFrame") -> "pd.DataFrame":
    """What is found, by trial id.

    Columns: ``verdict``; ``level_from``, the epoch at which the last level begins; ``levels``,
    their number; ``drift``, the last level over the first.
    ``epochs`` is a frame of ``load_epochs``: epochs of a trial are together and in order.
    """
    import numpy as np
    import pandas as pd

    code, trial_ids = pd.factorize(epochs["trial_id"])
    counts = np.bincount(code, minlength=len(trial_ids))
    starts = np.cumsum(counts) - counts
    steps = np.bincount(code, weights=epochs["steps"], minlength=len(trial_ids))
    warm = np.bincount(code, weights=epochs["warmup"], minlength=len(trial_ids)).astype(int)
    seconds = epochs["epoch_s"].to_numpy(dtype=float)
    found = {
        "verdict": np.full(len(trial_ids), "unclassified"),
        "level_from": np.full(len(trial_ids), -1),
        "levels": np.zeros(len(trial_ids), dtype=int),
        "drift": np.full(len(trial_ids), np.nan),
    }
    long = (counts >= MIN_EPOCHS) & (steps >= MIN_STEPS)
    for n in np.unique(counts[long]):
        rows = np.flatnonzero(long & (counts == n))
        for part in np.array_split(rows, 1 + len(rows) * int(n) // _CELLS_AT_ONCE):
            logs = np.log(seconds[starts[part][:, None] + np.arange(n)])
            for name, values in _classified(logs, warm[part]).items():
                found[name][part] = values
    return pd.DataFrame(found, index=pd.Index(trial_ids, name="trial_id"))


def with_verdicts(trials: "pd.DataFrame", epochs: "pd.DataFrame") -> "pd.DataFrame":
    """``trials`` with the verdict on each in the column "steady"."""
    verdict = trials["trial_id"].map(verdicts(epochs)["verdict"])
    return trials.assign(steady=verdict.fillna("unclassified").astype("str"))


def _classified(logs: "_Array", warm: "_Array") -> "dict[str, _Array]":
    """``logs`` is trials by epochs; the first ``warm`` epochs of each are warm-ups."""
    import numpy as np

    n = logs.shape[1]
    noise = noise_of(logs)
    logs = without_spikes(logs, noise)
    level = levels(logs, noise)
    changes = np.diff(level, axis=1)
    far = np.abs(level - level[:, -1:]) > TOLERANCE
    last = np.where(far.any(axis=1), n - np.argmax(far[:, ::-1], axis=1), 0)
    lasts = 2 * (n - np.maximum(last, warm)) > n - warm
    one_way = (changes >= 0).all(axis=1) | (changes <= 0).all(axis=1)
    verdict = np.select(
        [line_explains_more(logs, level, warm, noise), lasts & (last == 0), lasts, one_way],
        ["drifting", "flat", "warm_up", "drifting"],
        "unsettled",
    )
    return {
        "verdict": verdict,
        "level_from": last,
        "levels": 1 + (np.abs(changes) > TOLERANCE).sum(axis=1),
        "drift": np.exp(level[:, -1] - level[:, 0]),
    }
