"""Extrapolate the time of a whole epoch for trials whose epochs ``max_steps`` cut short.

Usage:
    capped = extrapolate_epochs(raw, epoch_s)    # epoch_s: median of the timed epochs as run
    capped.rows, capped.epoch_s, capped.verdicts

    T = T_run + (S - s) m

T_run is the median time of the s steps that ran, S the number of steps of a whole epoch, and m the
median time of a step, over the windows of all timed epochs. The first window of each epoch is left
out of m, because it contains the fixed cost of an epoch. There is no T without another full window.
The verdict is that of ``steady_state`` with windows in place of epochs: it marks step times that
were still changing, which predict the steps that did not run less well.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.analysis.loading.record_arrays import RecordArrays
from bench.analysis.statistics.steady_state import steady_verdicts

_Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class ExtrapolatedEpochs:
    """The capped trials; each array has one value per capped trial."""

    rows: _Array
    """Their rows in the run."""
    epoch_s: _Array
    """Seconds of a whole epoch; NaN without a full window after the first of an epoch."""
    examples: _Array
    """Examples of a whole epoch."""
    verdicts: _Array


def extrapolate_epochs(raw: RecordArrays, epoch_s: _Array) -> ExtrapolatedEpochs:
    """Extrapolate the capped trials of ``raw``; ``epoch_s`` is each trial's epoch time as run."""
    rows = np.array([row for row in raw.windows if _is_capped(raw, row)], dtype=int)
    run_steps, epoch_steps, batch = (
        np.array([_epoch_size(raw, row)[i] for row in rows], dtype=float) for i in range(3)
    )
    step_s = [_step_s(raw, row) for row in rows]
    counts = np.array([len(steps) for steps in step_s], dtype=int)
    verdicts = steady_verdicts(
        counts,
        np.concatenate([np.empty(0), *step_s]),
        steps=counts * np.array([_window_steps(raw, row) for row in rows], dtype=int),
        warmup=np.zeros(len(rows), dtype=int),
    )
    median_step_s = np.array(
        [np.median(steps) if len(steps) else np.nan for steps in step_s], dtype=float
    )
    seconds = epoch_s[rows] + (epoch_steps - run_steps) * median_step_s
    return ExtrapolatedEpochs(rows, seconds, epoch_steps * batch, verdicts)


def _is_capped(raw: RecordArrays, row: int) -> bool:
    run_steps, epoch_steps, _ = _epoch_size(raw, row)
    return run_steps < epoch_steps


def _epoch_size(raw: RecordArrays, row: int) -> tuple[int, int, int]:
    """Return the steps that ran in an epoch, the steps of a whole epoch, and the batch size."""
    columns = raw.columns
    batch = columns["global_batch_size"][row]
    epoch_steps = columns["examples"][row] // batch
    return min(columns["max_steps"][row], epoch_steps), epoch_steps, batch


def _window_steps(raw: RecordArrays, row: int) -> int:
    return int(raw.settings[raw.settings_code[row]].get("window_steps", 0))


def _step_s(raw: RecordArrays, row: int) -> _Array:
    """Return the seconds per step of each full window but the first, epoch after epoch."""
    steps = _window_steps(raw, row)
    full = _epoch_size(raw, row)[0] // steps if steps else 0
    return np.array([s for windows in raw.windows[row] for s in windows[1:full]]) / max(steps, 1)
