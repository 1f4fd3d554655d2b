"""Read the records of a run as arrays, file by file.

Usage:
    raw = read_records(RunFolder.open(run), all_attempts=False)
    raw.columns["status"], raw.epochs["epoch_s"], raw.epoch_counts
"""

from collections.abc import Iterable, Sequence
from typing import Any

from bench.analysis.loading.array_builder import ArrayBuilder, sorted_arrays
from bench.analysis.loading.garbage_collection import collector_paused
from bench.analysis.loading.record_arrays import TRIAL_EPOCH_FIELDS, RecordArrays
from bench.errors import RunFolderError
from bench.records.run_folder import RunFolder


def read_records(
    folder: RunFolder,
    *,
    all_attempts: bool,
    epoch_fields: Sequence[str] = TRIAL_EPOCH_FIELDS,
) -> RecordArrays:
    """Read the records of ``folder``: each trial's last attempt, or all attempts.

    Raises RunFolderError, naming the file and the field, if a record is damaged.
    """
    try:
        return _read(folder.raw_records(all_attempts=all_attempts), epoch_fields)
    except (KeyError, TypeError, ValueError, AttributeError):
        # The fast path cannot name the damaged record, and does not fill every gap of an old one.
        records = folder.records(all_attempts=all_attempts)
        try:
            return _read((record.model_dump() for record in records), epoch_fields)
        except (TypeError, ValueError) as error:
            raise RunFolderError(f"{folder.path}: a record is damaged: {error}") from None


def _read(records: Iterable[dict[str, Any]], epoch_fields: Sequence[str]) -> RecordArrays:
    builder = ArrayBuilder(tuple(dict.fromkeys((*epoch_fields, "epoch"))))
    with collector_paused():
        for record in records:
            builder.add(record)
    return sorted_arrays(builder)
