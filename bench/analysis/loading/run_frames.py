"""Read a run once, for its tables, its summary and its report.

Usage:
    frames = read_frames(RunFolder.open("results/runs/quick-1"))
    frames.trials                      # one row per trial: its last attempt
    write_tables(frames)               # trials.csv ... epochs.parquet
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
from pyarrow import parquet

from bench.analysis.loading.csv_export import as_csv
from bench.analysis.loading.data_frames import epochs_frame, trials_frame
from bench.analysis.loading.frame_columns import trial_columns
from bench.analysis.loading.garbage_collection import collector_paused
from bench.analysis.loading.measurement_sessions import with_sessions
from bench.analysis.loading.record_arrays import ALL_EPOCH_FIELDS, RecordArrays
from bench.analysis.loading.record_loading import load_records
from bench.records.atomic_write import staged_file
from bench.records.run_folder import RunFolder
from bench.records.run_info import RunInfo


@dataclass(frozen=True, eq=False)
class RunFrames:
    """The records of a run as arrays and as frames."""

    folder: RunFolder
    info: RunInfo
    raw: RecordArrays
    """All attempts, in the order of ``attempts``."""
    attempts: pd.DataFrame
    """One row per attempt, with the columns of ``load_attempts`` and "session"."""
    trials: pd.DataFrame
    """The last attempt of each trial."""
    epochs: pd.DataFrame
    """The epochs of ``trials``, with the columns of ``load_epochs``."""


@collector_paused()
def read_frames(folder: RunFolder) -> RunFrames:
    """Read the records of ``folder``; RunFolderError if one of them is damaged."""
    info = folder.info()
    raw = load_records(folder, all_attempts=True, epoch_fields=ALL_EPOCH_FIELDS)
    attempts = with_sessions(trials_frame(raw), info.invocations)
    is_last = ~attempts["trial_id"].duplicated(keep="last")
    return RunFrames(
        folder=folder,
        info=info,
        raw=raw,
        attempts=attempts,
        trials=attempts[is_last],
        epochs=epochs_frame(raw)[np.repeat(is_last.to_numpy(), raw.epoch_counts)],
    )


def write_tables(frames: RunFrames, suffixes: Sequence[str] = ("csv", "parquet")) -> list[Path]:
    """Write trials and epochs into the run folder in these formats, and return the paths.

    Raises StorageError if the disk is full or not writable.
    """
    tables = {"trials": frames.trials[list(trial_columns())], "epochs": frames.epochs}
    paths = []
    for name, table in tables.items():
        for suffix in suffixes:
            path = frames.folder.table(name, suffix)
            with staged_file(frames.folder.files, path.name) as file:
                file.write(_FORMATS[suffix](table))
            paths.append(path)
    return paths


def _as_parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pandas(frame, preserve_index=False), buffer)
    return buffer.getvalue()


_FORMATS: dict[str, Callable[[pd.DataFrame], bytes]] = {"csv": as_csv, "parquet": _as_parquet}
