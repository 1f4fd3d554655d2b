"""The time of a whole epoch of trials whose epochs ``max_steps`` cuts short.

Usage:
    found = extrapolate_epochs(raw, epoch_s)        # epoch_s: median of the counted epochs, as run
    found.rows, found.epoch_s, found.verdict

    T = T_run + (S - s) m

with T_run the median time of the s steps that were run, S the steps of a whole epoch and m the
median time of a step, over the windows of all counted epochs. An epoch's first window is left
out of m: what an epoch costs once is in it. There is a T only where these windows have settled,
by the rule of ``steady`` with windows for epochs: what still changes says nothing of the steps
that were not run.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.loading.raw_records import RecordArrays
from bench.analysis.statistics.steady_state import SETTLED, steady_states

if TYPE_CHECKING:
    import numpy as np

    _Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class ExtrapolatedEpochs:
    """Of the capped trials alone; arrays are of their number."""

    rows: "_Array"
    """Which rows of the run they are."""
    epoch_s: "_Array"
    """Seconds of a whole epoch; NaN where the windows have not settled."""
    examples: "_Array"
    """Examples of a whole epoch."""
    verdict: "_Array"


def extrapolate_epochs(raw: RecordArrays, epoch_s: "_Array") -> ExtrapolatedEpochs:
    """The capped trials of ``raw``, of which ``epoch_s`` is the time of an epoch as run."""
    import numpy as np

    rows = np.array([row for row in raw.windows if _is_capped(raw, row)], dtype=int)
    run, whole, batch = (
        np.array([_of_row(raw, row)[i] for row in rows], dtype=float) for i in range(3)
    )
    step_s = [_step_s(raw, row) for row in rows]
    counts = np.array([len(each) for each in step_s], dtype=int)
    judged = steady_states(
        counts,
        np.concatenate([np.empty(0), *step_s]),
        steps=counts * np.array([_window_steps(raw, row) for row in rows], dtype=int),
        warmup=np.zeros(len(rows), dtype=int),
    ).verdict
    settled = np.isin(judged, SETTLED)
    middle = np.array([np.median(each) if len(each) else np.nan for each in step_s], dtype=float)
    seconds = epoch_s[rows] + (whole - run) * middle
    return ExtrapolatedEpochs(rows, np.where(settled, seconds, np.nan), whole * batch, judged)


def _is_capped(raw: RecordArrays, row: int) -> bool:
    run, whole, _ = _of_row(raw, row)
    return run < whole


def _of_row(raw: RecordArrays, row: int) -> tuple[int, int, int]:
    """Steps as run, steps of a whole epoch, and the batch size."""
    columns = raw.columns
    batch = columns["global_batch_size"][row]
    whole = columns["examples"][row] // batch
    return min(columns["max_steps"][row], whole), whole, batch


def _window_steps(raw: RecordArrays, row: int) -> int:
    return int(raw.settings[raw.settings_code[row]].get("window_steps", 0))


def _step_s(raw: RecordArrays, row: int) -> "_Array":
    """Seconds a step of each full window but the first, epoch after epoch."""
    import numpy as np

    steps = _window_steps(raw, row)
    full = _of_row(raw, row)[0] // steps if steps else 0
    return np.array([s for windows in raw.windows[row] for s in windows[1:full]]) / max(steps, 1)
