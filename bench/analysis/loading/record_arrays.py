"""The records of a run as arrays.

Usage:
    raw = load_records(RunFolder.open(run), all_attempts=False)
    raw.columns["status"], raw.epochs["epoch_s"], raw.epoch_counts
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.analysis.loading.frame_columns import epoch_columns
from bench.analysis.statistics.turn_ratios import Windows
from bench.records.epoch_record import EpochRecord

ALL_EPOCH_FIELDS = tuple(name for name in epoch_columns() if name in EpochRecord.model_fields)
TRIAL_EPOCH_FIELDS = (
    *("warmup", "epoch_s", "examples", "train_loss", "val_accuracy"),
    *("steps", "clipped_steps", "skipped_steps", "input_wait_s"),
)
"""The epoch fields that a row of a trial is computed from; the others need not be read for it."""


@dataclass(frozen=True)
class RecordArrays:
    """Columns of trials, in planned order, and of their epochs, trial after trial."""

    columns: dict[str, tuple[Any, ...]]
    """One value per trial; None if it was not measured."""
    epochs: dict[str, np.ndarray[Any, np.dtype[np.float64]]]
    """One float64 per epoch; NaN if it was not measured."""
    epoch_counts: np.ndarray[Any, np.dtype[np.int64]]
    """The number of epochs of each trial."""
    settings_code: np.ndarray[Any, np.dtype[np.int64]]
    """The index in ``settings`` of what each trial ran with."""
    settings: tuple[dict[str, Any], ...]
    """The distinct ``resolved`` settings, each with ``node`` and ``devices``."""
    windows: dict[int, tuple[Sequence[float], ...]]
    """By row: window times of each timed epoch, for trials that ``max_steps`` may have capped."""
    warnings: dict[int, tuple[str, ...]]
    """By row, for trials that have warnings."""
    turns: Windows
    """The windows of timed epochs that trials trained in turns, by row."""
