"""Load the records of a run as pandas data frames.

Usage:
    trials = load_trials("results/runs/quick-1")      # one row per trial: its last attempt
    epochs = load_epochs("results/runs/quick-1")      # one row per epoch

A value that was not measured is null, never 0. Derived columns follow the definitions of
``TrialRecord``.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.loading.extrapolation import extrapolate_epochs
from bench.analysis.loading.frame_columns import epoch_columns, trial_columns
from bench.analysis.loading.record_arrays import ALL_EPOCH_FIELDS, RecordArrays
from bench.analysis.loading.record_loading import load_records
from bench.analysis.statistics.steady_state import steady_verdicts
from bench.records.run_folder import RunFolder

_Array = np.ndarray[Any, np.dtype[Any]]


def load_trials(run: Path | str) -> pd.DataFrame:
    """Return one row per trial of the run folder ``run``, in planned order: its last attempt.

    Raises RunFolderError if ``run`` is not a run folder or a record in it is damaged.
    """
    return trials_frame(load_records(RunFolder.open(run), all_attempts=False))


def load_attempts(run: Path | str) -> pd.DataFrame:
    """Return one row per attempt, in planned order; columns and errors as in ``load_trials``."""
    return trials_frame(load_records(RunFolder.open(run), all_attempts=True))


def load_epochs(run: Path | str) -> pd.DataFrame:
    """Return one row per epoch of each trial's last attempt; errors as in ``load_trials``."""
    folder = RunFolder.open(run)
    return epochs_frame(load_records(folder, all_attempts=False, epoch_fields=ALL_EPOCH_FIELDS))


def trials_frame(raw: RecordArrays, names: Iterable[str] | None = None) -> pd.DataFrame:
    """Build the frame of ``load_trials``, or only its columns ``names``, from loaded records."""
    target = _floats(raw.columns["target_accuracy"])
    values = {**raw.columns, **_epoch_aggregates(raw, target)}
    values["time_to_accuracy_with_cold_start_s"] = values["time_to_accuracy_s"] + _cold_starts(raw)
    dtypes = trial_columns()
    return pd.DataFrame(
        {name: _series(values[name], dtypes[name]) for name in (dtypes if names is None else names)}
    )


def epochs_frame(raw: RecordArrays) -> pd.DataFrame:
    """Build the frame of ``load_epochs`` from loaded records, with every attempt in them."""
    trial_ids = pd.Series(raw.columns["trial_id"], dtype="str")
    rows = np.repeat(np.arange(len(trial_ids)), raw.epoch_counts)
    values: dict[str, Any] = {
        **raw.epochs,
        "trial_id": trial_ids.take(rows).reset_index(drop=True),
        "examples_per_s": raw.epochs["examples"] / raw.epochs["epoch_s"],
    }
    return pd.DataFrame(
        {name: _series(values[name], dtype) for name, dtype in epoch_columns().items()}
    )


def _series(values: Any, dtype: Any) -> Any:
    if dtype == "float64":
        return pd.Series(_floats(values))
    if dtype in ("Int64", "boolean") and not isinstance(values, tuple):
        return pd.Series(values, dtype="Float64").astype(dtype)  # turns NaN into null
    return pd.Series(values, dtype=dtype)


def _floats(values: Any) -> _Array:
    # float() parses JSON's "NaN" and "Infinity", and numpy turns None into NaN.
    return np.asarray(values, dtype=float)


def _epoch_aggregates(raw: RecordArrays, target: _Array) -> dict[str, Any]:
    """Aggregate the epochs of each trial; every array has one value per trial."""
    counts, epochs = raw.epoch_counts, raw.epochs
    n = len(counts)
    trial = np.repeat(np.arange(n), counts)
    frame = pd.DataFrame({name: epochs[name] for name in ("epoch_s", "examples")})
    timed = frame[epochs["warmup"] == 0].groupby(trial[epochs["warmup"] == 0])
    total = timed.sum().reindex(range(n))
    last = np.cumsum(counts)[counts > 0] - 1
    epoch_s = timed["epoch_s"].median().reindex(range(n)).to_numpy(copy=True)
    examples_per_s = (total["examples"] / total["epoch_s"]).to_numpy(copy=True)
    steps, warmup = (
        np.bincount(trial, weights=epochs[name], minlength=n) for name in ("steps", "warmup")
    )
    verdicts = steady_verdicts(counts, epochs["epoch_s"], steps, warmup.astype(int))
    capped = extrapolate_epochs(raw, epoch_s)
    epoch_s[capped.rows] = capped.epoch_s
    examples_per_s[capped.rows] = capped.examples / capped.epoch_s
    verdicts[capped.rows] = capped.verdicts
    return {
        "epoch_s": epoch_s,
        "examples_per_s": examples_per_s,
        "extrapolated": np.isin(np.arange(n), capped.rows),
        "train_loss": _spread(counts > 0, epochs["train_loss"][last]),
        "val_accuracy": _spread(counts > 0, epochs["val_accuracy"][last]),
        "time_to_accuracy_s": _time_to_accuracy_s(raw, trial, target),
        "train_s": frame["epoch_s"].groupby(trial).sum().reindex(range(n)).to_numpy(),
        "steady": verdicts,
    }


def _cold_starts(raw: RecordArrays) -> _Array:
    """Return the cold start of each trial, or its variant's median where it was not measured.

    Trials of later blocks find what XLA compiled in the first one.
    """
    measured = pd.Series(_floats(raw.columns["cold_start_s"]))
    of_variant = measured.groupby(list(raw.columns["variant_id"])).transform("median")
    return measured.fillna(of_variant).to_numpy()


def _spread(mask: _Array, values: _Array) -> _Array:
    """Return an array with ``values`` where ``mask`` is true and NaN elsewhere."""
    result = np.full(len(mask), np.nan)
    result[mask] = values
    return result


def _time_to_accuracy_s(raw: RecordArrays, trial: _Array, target: _Array) -> _Array:
    """Return each trial's training time to its target: NaN without one, infinite if not reached.

    A diverged trial did not reach its target.
    """
    elapsed = pd.Series(raw.epochs["epoch_s"]).groupby(trial).cumsum().to_numpy()
    reached = raw.epochs["val_accuracy"] >= target[trial]
    first = pd.Series(elapsed[reached]).groupby(trial[reached]).first()
    times = first.reindex(range(len(target)), fill_value=np.inf).to_numpy()
    diverged = np.array(raw.columns["status"], dtype=object) == "diverged"
    has_target = ~np.isnan(target) & ((raw.epoch_counts > 0) | diverged)
    return np.where(has_target, np.where(diverged, np.inf, times), np.nan)
