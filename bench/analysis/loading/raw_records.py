"""The records of a run as arrays: read file by file, without a model for each.

Usage:
    raw = read_records(RunFolder.open(run), all_attempts=False)
    raw.columns["status"], raw.epochs["epoch_s"], raw.epoch_counts

A run of 100,000 trials holds a million epochs: as models or dictionaries they would not fit
in memory, so each file is reduced to tuples and each few thousand of those to an array.
"""

import contextlib
import gc
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.analysis.comparison.confounds import PER_PROCESS
from bench.analysis.loading.column_checks import column_check
from bench.analysis.loading.frame_columns import (
    RECORD_FIELDS,
    TRIAL_FIELDS,
    epoch_columns,
    fields_of,
)
from bench.records.epoch_record import EpochRecord, without_accuracy_of_nan
from bench.records.measures import Measures
from bench.records.run_folder import RunFolder
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial
from bench.spec.variant import Variant

if TYPE_CHECKING:
    import numpy as np

_Values = tuple[Any, ...]
ALL_EPOCH_FIELDS = tuple(name for name in epoch_columns() if name in EpochRecord.model_fields)
TRIAL_EPOCH_FIELDS = (
    *("warmup", "epoch_s", "examples", "train_loss", "val_accuracy"),
    *("steps", "clipped_steps", "skipped_steps", "input_wait_s"),
)
"""What a row of a trial is made from: the other fields of an epoch need not be read for it."""
_ROWS_A_CHUNK = 20_000


@dataclass(frozen=True)
class RecordArrays:
    """Columns of trials, in planned order, and of their epochs, trial after trial."""

    columns: dict[str, _Values]
    """Each of length trials; what was not measured is None."""
    epochs: "dict[str, np.ndarray[Any, np.dtype[np.float64]]]"
    """Each of length epochs, as float64; what was not measured is NaN."""
    epoch_counts: "np.ndarray[Any, np.dtype[np.int64]]"
    """The number of epochs of each trial."""
    settings_code: "np.ndarray[Any, np.dtype[np.int64]]"
    """Which of ``settings`` each trial ran with."""
    settings: tuple[dict[str, Any], ...]
    """The different ``resolved`` settings, with ``node`` and ``devices``."""
    windows: dict[int, tuple[Sequence[float], ...]]
    """Times of the windows of each counted epoch, of trials that ``max_steps`` may have capped."""
    warnings: dict[int, tuple[str, ...]]
    """Of trials that have some, by row."""


def read_records(
    folder: RunFolder,
    *,
    all_attempts: bool,
    epoch_fields: Sequence[str] = TRIAL_EPOCH_FIELDS,
) -> RecordArrays:
    """The records of ``folder``: the last attempt at each trial, or all.

    Raises RunFolderError, naming the file and the field, where a record is damaged.
    """
    try:
        return _read(folder.raw_records(all_attempts=all_attempts), epoch_fields)
    except (KeyError, TypeError, ValueError, AttributeError):
        # The quick way cannot say which record is wrong, or fills in what an older one lacks.
        records = folder.records(all_attempts=all_attempts)
        return _read((record.model_dump() for record in records), epoch_fields)


def _read(records: Iterable[dict[str, Any]], epoch_fields: Sequence[str]) -> RecordArrays:
    gathered = _Gathered(tuple(dict.fromkeys((*epoch_fields, "epoch"))))
    with collector_paused():
        for record in records:
            gathered.add(record)
    return _in_planned_order(gathered)


@dataclass
class _Gathered:
    epoch_fields: tuple[str, ...]
    rows: list[_Values] = field(default_factory=list)
    epoch_counts: list[int] = field(default_factory=list)
    chunk: list[_Values] = field(default_factory=list)
    chunks: "list[np.ndarray[Any, np.dtype[np.float64]]]" = field(default_factory=list)
    settings_code: list[int] = field(default_factory=list)
    settings: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    windows: dict[int, tuple[Sequence[float], ...]] = field(default_factory=dict)
    warnings: dict[int, tuple[str, ...]] = field(default_factory=dict)
    variants: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.epoch_values = _rows_picker(self.epoch_fields)
        self.checks = [column_check(EpochRecord, name) for name in self.epoch_fields]

    def add(self, record: dict[str, Any]) -> None:
        trial = record["trial"]
        epochs = [without_accuracy_of_nan(epoch) for epoch in record["epochs"]]
        variant = trial["variant"]
        self.check_variant(variant)
        for name, value in VARIANT_DEFAULTS.items():
            variant.setdefault(name, value)
        for name in _VARIANT_TUPLES:
            variant[name] = str(list(variant[name]))
        for name in PER_PROCESS:
            record["resolved"].pop(name, None)
        if variant["max_steps"] is not None:
            counted = (epoch for epoch in epochs if not epoch["warmup"])
            windows = tuple(epoch["window_s"] for epoch in counted)
            _check_windows(windows)
            self.windows[len(self.rows)] = windows
        if warnings := record.get("warnings"):
            _check_warnings([warnings])
            self.warnings[len(self.rows)] = tuple(warnings)
        settings = record["resolved"], record["node"], record["devices"]
        _check_devices([record["devices"]])
        record["devices"] = ", ".join(record["devices"])
        measures = without_accuracy_of_nan(record["measures"])
        self.rows.append(_TRIAL(trial) + _RECORD(record) + _VARIANT(variant) + _MEASURES(measures))
        self.chunk += self.epoch_values(epochs)
        self.epoch_counts.append(len(epochs))
        self.settings_code.append(self.code_of(settings))
        if len(self.chunk) >= _ROWS_A_CHUNK:
            self.close_chunk()

    def check_variant(self, variant: dict[str, Any]) -> None:
        key = repr(variant)
        if key not in self.variants:
            Variant.model_validate(variant)
            self.variants.add(key)

    def code_of(self, settings: tuple[dict[str, Any], Any, Any]) -> int:
        key = repr(settings)
        if key not in self.settings:
            resolved, node, devices = settings
            _check_resolved([resolved])
            merged = {**resolved, "node": node, "devices": devices}
            self.settings[key] = len(self.settings), merged
        return self.settings[key][0]

    def close_chunk(self) -> None:
        for check, column in zip(self.checks, zip(*self.chunk, strict=True), strict=False):
            check(column)
        self.chunks.append(_matrix(self.chunk, len(self.epoch_fields)))
        self.chunk.clear()


def _matrix(rows: list[_Values], width: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """``rows`` as numbers: "NaN" and "Infinity", as JSON has them, read, and None as NaN."""
    import numpy as np

    numbers = np.fromiter(itertools.chain.from_iterable(rows), float, len(rows) * width)
    return numbers.reshape(-1, width)


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """No cyclic garbage collection: millions of plain values have no cycles to be found.

    Looking for them takes a fifth more time. Works as a decorator too.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _picker(
    names: Sequence[str], defaults: Mapping[str, Any] | None = None
) -> Callable[[Mapping[str, Any]], _Values]:
    """The values of ``names`` in a mapping; for what an older record lacks its default, or None."""
    quick, lacking = operator.itemgetter(*names), defaults or {}

    def pick(mapping: Mapping[str, Any]) -> _Values:
        try:
            values: _Values = quick(mapping)
            return values
        except KeyError:
            return tuple(mapping.get(name, lacking.get(name)) for name in names)

    return pick


def _rows_picker(names: Sequence[str]) -> Callable[[list[dict[str, Any]]], list[_Values]]:
    """``_picker`` for many mappings at once, a million of them without a call for each."""
    quick, patient = operator.itemgetter(*names), _picker(names, _EPOCH_DEFAULTS)

    def pick(mappings: list[dict[str, Any]]) -> list[_Values]:
        try:
            return list(map(quick, mappings))
        except KeyError:
            return list(map(patient, mappings))

    return pick


_EPOCH_DEFAULTS = {
    name: field.default
    for name, field in EpochRecord.model_fields.items()
    if not field.is_required()
}
_VARIANT_TUPLES = tuple(
    name for name in Variant.model_fields if "tuple" in str(Variant.model_fields[name].annotation)
)
VARIANT_DEFAULTS = {
    name: field.default for name, field in Variant.model_fields.items() if not field.is_required()
}
"""What older records lack."""
_check_windows = column_check(EpochRecord, "window_s")
_check_devices = column_check(TrialRecord, "devices")
_check_warnings = column_check(TrialRecord, "warnings")
_check_resolved = column_check(TrialRecord, "resolved")
_TRIAL = operator.itemgetter(*TRIAL_FIELDS)
_RECORD = _picker(tuple(RECORD_FIELDS))
_VARIANT = operator.itemgetter(*fields_of(Variant))
_MEASURES = _picker(tuple(fields_of(Measures)))
_COLUMN_CHECKS = {
    name: column_check(model, name)
    for model, names in (
        (Trial, TRIAL_FIELDS),
        (TrialRecord, RECORD_FIELDS),
        (Measures, fields_of(Measures)),
    )
    for name in names
    if name != "devices"  # which is text by now
}
NAMES = (*TRIAL_FIELDS, *RECORD_FIELDS, *fields_of(Variant), *fields_of(Measures))


def _in_planned_order(gathered: _Gathered) -> RecordArrays:
    import numpy as np

    gathered.close_chunk()
    order, attempt = (
        np.array([row[i] for row in gathered.rows], dtype=np.int64)
        for i in (NAMES.index("order"), NAMES.index("attempt"))
    )
    ranked = np.lexsort((attempt, order))
    counts = np.array(gathered.epoch_counts, dtype=np.int64)
    epochs = np.concatenate(gathered.chunks)[_epoch_order(counts, ranked)]
    numbers = epochs[:, gathered.epoch_fields.index("epoch")]
    if not np.array_equal(numbers, _within(counts[ranked])):
        raise ValueError("epochs out of order")
    place = np.argsort(ranked)
    columns = dict(zip(NAMES, _columns(gathered.rows, ranked.tolist()), strict=True))
    for name, check in _COLUMN_CHECKS.items():
        check(columns[name])
    return RecordArrays(
        columns=columns,
        epochs={name: epochs[:, i] for i, name in enumerate(gathered.epoch_fields)},
        epoch_counts=counts[ranked],
        settings_code=np.array(gathered.settings_code, dtype=np.int64)[ranked],
        settings=tuple(settings for _, settings in gathered.settings.values()),
        windows={int(place[row]): of_epochs for row, of_epochs in gathered.windows.items()},
        warnings={int(place[row]): texts for row, texts in gathered.warnings.items()},
    )


def _columns(rows: list[_Values], ranked: list[int]) -> Iterator[_Values]:
    if not rows:
        return iter([()] * len(NAMES))
    return zip(*(rows[i] for i in ranked), strict=True)


def _epoch_order(
    counts: "np.ndarray[Any, np.dtype[np.int64]]", ranked: "np.ndarray[Any, np.dtype[np.int64]]"
) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Where each row of epochs comes from, once the trials are in the order ``ranked``."""
    import numpy as np

    starts = np.cumsum(counts) - counts
    kept = counts[ranked]
    order: np.ndarray[Any, np.dtype[np.int64]] = np.repeat(starts[ranked], kept) + _within(kept)
    return order


def _within(counts: "np.ndarray[Any, np.dtype[np.int64]]") -> "np.ndarray[Any, np.dtype[np.int64]]":
    """From 0 up in each trial, of which ``counts`` has the numbers of epochs."""
    import numpy as np

    within: np.ndarray[Any, np.dtype[np.int64]] = np.arange(counts.sum()) - np.repeat(
        np.cumsum(counts) - counts, counts
    )
    return within
