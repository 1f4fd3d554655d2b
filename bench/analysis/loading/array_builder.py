"""Collect records one by one into arrays, without a model for each record.

Usage:
    builder = ArrayBuilder(("epoch_s", "epoch"))
    for record in folder.raw_records(): builder.add(record)
    sorted_arrays(builder)

A run of 100,000 trials holds a million epochs, which do not fit in memory as models or
dictionaries. Each record is therefore reduced to tuples, and every few thousand tuples to an array.
"""

import itertools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.analysis.loading.column_checks import column_check
from bench.analysis.loading.frame_columns import RECORD_COLUMNS, TRIAL_COLUMNS, fields_of
from bench.analysis.loading.record_arrays import RecordArrays
from bench.analysis.loading.turn_windows import TurnWindows
from bench.records.epoch_record import EpochRecord, without_accuracy_of_nan
from bench.records.measures import Measures
from bench.records.resolved_keys import PER_PROCESS
from bench.records.trial_record import TrialRecord
from bench.spec.axis_groups import LATER_AXES
from bench.spec.plan import Trial
from bench.spec.variant import Variant

_Values = tuple[Any, ...]
_CHUNK_ROWS = 20_000


@dataclass
class ArrayBuilder:
    """Collects records; a record that is not valid raises ValueError, KeyError or TypeError."""

    epoch_fields: tuple[str, ...]
    rows: list[_Values] = field(default_factory=list)
    epoch_counts: list[int] = field(default_factory=list)
    chunk: list[_Values] = field(default_factory=list)
    chunks: list[np.ndarray[Any, np.dtype[np.float64]]] = field(default_factory=list)
    settings_code: list[int] = field(default_factory=list)
    settings: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    windows: dict[int, tuple[Sequence[float], ...]] = field(default_factory=dict)
    warnings: dict[int, tuple[str, ...]] = field(default_factory=dict)
    variants: set[str] = field(default_factory=set)
    turns: TurnWindows = field(default_factory=TurnWindows)

    def __post_init__(self) -> None:
        self.epoch_values = _rows_picker(self.epoch_fields)
        self.checks = [column_check(EpochRecord, name) for name in self.epoch_fields]

    def add(self, record: dict[str, Any]) -> None:
        """Add the plain data of a record, which this changes."""
        trial = record["trial"]
        epochs = [without_accuracy_of_nan(epoch) for epoch in record["epochs"]]
        variant = trial["variant"]
        self._validate_variant(variant)
        for name, value in LATER_AXES.items():
            variant.setdefault(name, value)
        for name in _VARIANT_TUPLES:
            variant[name] = str(list(variant[name]))
        for name in PER_PROCESS:
            record["resolved"].pop(name, None)
        self.turns.add(len(self.rows), record)
        if variant["max_steps"] is not None:
            timed = (epoch for epoch in epochs if not epoch["warmup"])
            windows = tuple(epoch["window_s"] for epoch in timed)
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
        self.settings_code.append(self._code_of(settings))
        if len(self.chunk) >= _CHUNK_ROWS:
            self.close_chunk()

    def _validate_variant(self, variant: dict[str, Any]) -> None:
        key = repr(variant)
        if key not in self.variants:
            Variant.model_validate(variant)
            self.variants.add(key)

    def _code_of(self, settings: tuple[dict[str, Any], Any, Any]) -> int:
        key = repr(settings)
        if key not in self.settings:
            resolved, node, devices = settings
            _check_resolved([resolved])
            merged = {**resolved, "node": node, "devices": devices}
            self.settings[key] = len(self.settings), merged
        return self.settings[key][0]

    def close_chunk(self) -> None:
        """Check the epochs that are still tuples, and turn them into an array."""
        for check, column in zip(self.checks, zip(*self.chunk, strict=True), strict=False):
            check(column)
        self.chunks.append(_as_floats(self.chunk, len(self.epoch_fields)))
        self.chunk.clear()


def _as_floats(rows: list[_Values], width: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Convert ``rows`` to floats: parses JSON's "NaN" and "Infinity", and turns None into NaN."""
    values = np.fromiter(itertools.chain.from_iterable(rows), float, len(rows) * width)
    return values.reshape(-1, width)


def _picker(
    names: Sequence[str], defaults: Mapping[str, Any] | None = None
) -> Callable[[Mapping[str, Any]], _Values]:
    """Return a function that picks ``names`` from a mapping.

    A name that an older record lacks gets its default, or None.
    """
    fast, fallbacks = operator.itemgetter(*names), defaults or {}

    def pick(mapping: Mapping[str, Any]) -> _Values:
        try:
            values: _Values = fast(mapping)
            return values
        except KeyError:
            return tuple(mapping.get(name, fallbacks.get(name)) for name in names)

    return pick


def _rows_picker(names: Sequence[str]) -> Callable[[list[dict[str, Any]]], list[_Values]]:
    """Return a ``_picker`` for a list of mappings, without a Python call for each of a million."""
    fast, tolerant = operator.itemgetter(*names), _picker(names, _EPOCH_DEFAULTS)

    def pick(mappings: list[dict[str, Any]]) -> list[_Values]:
        try:
            return list(map(fast, mappings))
        except KeyError:
            return list(map(tolerant, mappings))

    return pick


_EPOCH_DEFAULTS = {
    name: field.default
    for name, field in EpochRecord.model_fields.items()
    if not field.is_required()
}
_VARIANT_TUPLES = tuple(
    name for name in Variant.model_fields if "tuple" in str(Variant.model_fields[name].annotation)
)
_check_windows = column_check(EpochRecord, "window_s")
_check_devices = column_check(TrialRecord, "devices")
_check_warnings = column_check(TrialRecord, "warnings")
_check_resolved = column_check(TrialRecord, "resolved")
_TRIAL = _picker(tuple(TRIAL_COLUMNS), {"part": 0})
_RECORD = _picker(tuple(RECORD_COLUMNS))
_VARIANT = operator.itemgetter(*fields_of(Variant))
_MEASURES = _picker(tuple(fields_of(Measures)))
_COLUMN_CHECKS = {
    name: column_check(model, name)
    for model, names in (
        (Trial, TRIAL_COLUMNS),
        (TrialRecord, RECORD_COLUMNS),
        (Measures, fields_of(Measures)),
    )
    for name in names
    if name != "devices"  # checked before it was joined to text
}
NAMES = (*TRIAL_COLUMNS, *RECORD_COLUMNS, *fields_of(Variant), *fields_of(Measures))


def sorted_arrays(builder: ArrayBuilder) -> RecordArrays:
    """Return all records that ``builder`` was given, in planned order."""
    builder.close_chunk()
    planned, attempt = (
        np.array([row[i] for row in builder.rows], dtype=np.int64)
        for i in (NAMES.index("order"), NAMES.index("attempt"))
    )
    order = np.lexsort((attempt, planned))
    counts = np.array(builder.epoch_counts, dtype=np.int64)
    epochs = np.concatenate(builder.chunks)[_epoch_order(counts, order)]
    values = epochs[:, builder.epoch_fields.index("epoch")]
    if not np.array_equal(values, _positions(counts[order])):
        raise ValueError("epochs out of order")
    new_row = np.argsort(order)
    columns = dict(zip(NAMES, _columns(builder.rows, order.tolist()), strict=True))
    for name, check in _COLUMN_CHECKS.items():
        check(columns[name])
    return RecordArrays(
        columns=columns,
        epochs={name: epochs[:, i] for i, name in enumerate(builder.epoch_fields)},
        epoch_counts=counts[order],
        settings_code=np.array(builder.settings_code, dtype=np.int64)[order],
        settings=tuple(settings for _, settings in builder.settings.values()),
        windows={int(new_row[row]): windows for row, windows in builder.windows.items()},
        warnings={int(new_row[row]): texts for row, texts in builder.warnings.items()},
        turns=builder.turns.windows().renumbered(new_row),
    )


def _columns(rows: list[_Values], order: list[int]) -> Iterator[_Values]:
    if not rows:
        return iter([()] * len(NAMES))
    return zip(*(rows[i] for i in order), strict=True)


def _epoch_order(
    counts: np.ndarray[Any, np.dtype[np.int64]], order: np.ndarray[Any, np.dtype[np.int64]]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the source row of each epoch once the trials are sorted by ``order``."""
    starts = np.cumsum(counts) - counts
    sorted_counts = counts[order]
    source: np.ndarray[Any, np.dtype[np.int64]]
    source = np.repeat(starts[order], sorted_counts) + _positions(sorted_counts)
    return source


def _positions(counts: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Number the epochs of each trial from 0; ``counts`` is the number of epochs per trial."""
    positions: np.ndarray[Any, np.dtype[np.int64]] = np.arange(counts.sum()) - np.repeat(
        np.cumsum(counts) - counts, counts
    )
    return positions
