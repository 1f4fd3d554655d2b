"""The records of a run as arrays, however many there are.

Usage:
    raw = load_records(RunFolder.open(run), all_attempts=False)

A small run's are read from their files each time. What is read of a large run's is kept in the
user's cache (``kept``), since to open and parse 100,000 files takes longer than all that is made of
them.
"""

from collections.abc import Sequence

from bench.analysis.loading.raw_records import (
    ALL_EPOCH_FIELDS,
    TRIAL_EPOCH_FIELDS,
    RecordArrays,
    collector_paused,
    read_records,
)
from bench.analysis.loading.record_cache import load_cached, store_cached
from bench.records.run_folder import RunFolder

LARGE = 2_000
"""Records from which on a run is large."""


@collector_paused()
def load_records(
    folder: RunFolder,
    *,
    all_attempts: bool,
    epoch_fields: Sequence[str] = TRIAL_EPOCH_FIELDS,
) -> RecordArrays:
    """The records of ``folder``: the last attempt at each trial, or all.

    Their epochs have ``epoch_fields`` at least. RunFolderError, naming the file and the field,
    where a record is damaged.
    """
    marks = folder.marks()
    if len(marks) < LARGE:
        return read_records(folder, all_attempts=all_attempts, epoch_fields=epoch_fields)
    whole = load_cached(folder.path, marks)
    if whole is None:
        whole = read_records(folder, all_attempts=True, epoch_fields=ALL_EPOCH_FIELDS)
        store_cached(folder.path, marks, whole)
    return whole if all_attempts else last_attempts(whole)


def last_attempts(raw: RecordArrays) -> RecordArrays:
    """``raw`` without the attempts that were followed by another."""
    import numpy as np

    last = {trial_id: row for row, trial_id in enumerate(raw.columns["trial_id"])}
    rows = sorted(last.values())
    if len(rows) == len(raw.epoch_counts):
        return raw
    is_last = np.isin(np.arange(len(raw.epoch_counts)), rows)
    of_last = np.repeat(is_last, raw.epoch_counts)
    place = {row: i for i, row in enumerate(rows)}
    return RecordArrays(
        columns={name: tuple(values[row] for row in rows) for name, values in raw.columns.items()},
        epochs={name: values[of_last] for name, values in raw.epochs.items()},
        epoch_counts=raw.epoch_counts[is_last],
        settings_code=raw.settings_code[is_last],
        settings=raw.settings,
        windows={place[row]: of_epochs for row, of_epochs in raw.windows.items() if row in place},
        warnings={place[row]: texts for row, texts in raw.warnings.items() if row in place},
    )
