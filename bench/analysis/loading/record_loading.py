"""Load the records of a run as arrays, from the cache if the run is large.

Usage:
    raw = load_records(RunFolder.open(run), all_attempts=False)

The records of a small run are read from their files each time. The arrays of a large run are kept
in the user's cache (``record_cache``), because opening and parsing 100,000 files takes longer than
all later computation.
"""

from collections.abc import Sequence

import numpy as np

from bench.analysis.loading.garbage_collection import collector_paused
from bench.analysis.loading.raw_records import read_records
from bench.analysis.loading.record_arrays import ALL_EPOCH_FIELDS, TRIAL_EPOCH_FIELDS, RecordArrays
from bench.analysis.loading.record_cache import load_cached, store_cached
from bench.records.run_folder import RunFolder

MIN_CACHED_RECORDS = 2_000
"""A run with at least this many records is cached."""


@collector_paused()
def load_records(
    folder: RunFolder,
    *,
    all_attempts: bool,
    epoch_fields: Sequence[str] = TRIAL_EPOCH_FIELDS,
) -> RecordArrays:
    """Load the records of ``folder``: each trial's last attempt, or all attempts.

    Their epochs have at least ``epoch_fields``. Raises RunFolderError, naming the file and the
    field, if a record is damaged.
    """
    fingerprint = folder.fingerprint()
    if len(fingerprint) < MIN_CACHED_RECORDS:
        return read_records(folder, all_attempts=all_attempts, epoch_fields=epoch_fields)
    raw = load_cached(folder.path, fingerprint)
    if raw is None:
        raw = read_records(folder, all_attempts=True, epoch_fields=ALL_EPOCH_FIELDS)
        store_cached(folder.path, fingerprint, raw)
    return raw if all_attempts else last_attempts(raw)


def last_attempts(raw: RecordArrays) -> RecordArrays:
    """Return ``raw`` without attempts that were followed by another."""
    last = {trial_id: row for row, trial_id in enumerate(raw.columns["trial_id"])}
    rows = sorted(last.values())
    if len(rows) == len(raw.epoch_counts):
        return raw
    is_last = np.isin(np.arange(len(raw.epoch_counts)), rows)
    is_last_epoch = np.repeat(is_last, raw.epoch_counts)
    new_row = {row: i for i, row in enumerate(rows)}
    new_rows = np.where(is_last, np.cumsum(is_last) - 1, -1)
    return RecordArrays(
        columns={name: tuple(values[row] for row in rows) for name, values in raw.columns.items()},
        epochs={name: values[is_last_epoch] for name, values in raw.epochs.items()},
        epoch_counts=raw.epoch_counts[is_last],
        settings_code=raw.settings_code[is_last],
        settings=raw.settings,
        windows={new_row[row]: windows for row, windows in raw.windows.items() if row in new_row},
        warnings={new_row[row]: texts for row, texts in raw.warnings.items() if row in new_row},
        turns=raw.turns.renumbered(new_rows),
    )
