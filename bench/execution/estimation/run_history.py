"""Times that earlier runs have measured, to estimate those of runs to come.

Usage:
    found = measured_times([out, *recent_runs()], {variant.id: variant}, device)
    found[variant.id].epoch_s

A variant's time is the median over its trials in the newest run that has any, on the same kind of
device. Runs that differ in epochs or seed serve as well. Reading is bounded, so that a plan stays
quick beside thousands of records, and what cannot be read or believed is passed over.
"""

import itertools
import json
import math
import os
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import RunFolderError
from bench.execution.gpus.device_kind import DeviceKind, device_of_record
from bench.files.folder import Folder
from bench.records.record_files import read_json
from bench.spec.variant import Variant

RUNS = Path("results/runs")
"""Where runs go unless told otherwise."""

_MOST_RUNS = 20
_MOST_RECORDS = 600
"""Records that are read in all."""
_MOST_COMPARED = 2_000
"""Variants for which trials with other epochs are looked for."""
_MOST_FILES = 20_000
"""Of a run, names that are looked at."""
_MOST_BYTES = 8 * 2**20
"""Of a file that is read."""
_RECORDS_EACH = 3
_LENGTH = frozenset({"epochs", "warmup_epochs", "target_accuracy"})
"""Axes on which the time of an epoch does not hang."""


@dataclass(frozen=True)
class MeasuredTime:
    """What trials of a variant took in an earlier run."""

    start_s: float
    """Wall time but for the epochs: process, imports, data, compilation, the final test."""
    epoch_s: float
    """Training and validation of one epoch."""
    run: str
    """The run folder's path."""


def history_key(variant: Variant) -> str:
    """Equal for variants whose epochs take equally long."""
    acting = {k: v for k, v in variant.canonical().items() if k not in _LENGTH}
    return json.dumps(acting, sort_keys=True)


def recent_runs(folder: Path = RUNS) -> list[Path]:
    """The newest run folders in ``folder``, newest first."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in itertools.islice(entries, _MOST_FILES):
                info = Path(entry.path, "run.json")
                if info.is_file():
                    found.append((info.stat().st_mtime, Path(entry.path)))
    except OSError:  # no run yet, or one that is being removed
        pass
    return [path for _, path in sorted(found, reverse=True)[:_MOST_RUNS]]


def measured_times(
    folders: Iterable[Path], variants: Mapping[str, Variant], device: DeviceKind
) -> dict[str, MeasuredTime]:
    """What is known of ``variants`` on ``device``, both by id; earlier folders win."""
    left = _Budget(_MOST_RECORDS)
    runs = [_Run(path, files, device, left) for path in folders if (files := _files(path))]
    found: dict[str, MeasuredTime] = {}
    for run in runs:
        for variant_id in sorted(run.variant_ids & variants.keys() - found.keys()):
            if time := run.time_of(variant_id):
                found[variant_id] = time
    missing = {i: variant for i, variant in variants.items() if i not in found}
    if runs and len(missing) <= _MOST_COMPARED:
        _add_other_lengths(found, runs, missing, left)
    return found


def _add_other_lengths(
    found: dict[str, MeasuredTime],
    runs: Iterable["_Run"],
    missing: Mapping[str, Variant],
    left: "_Budget",
) -> None:
    """Add times of trials with other epochs. Their ids say nothing: a record must be read."""
    alike: dict[str, list[str]] = defaultdict(list)
    for variant_id, variant in missing.items():
        alike[history_key(variant)].append(variant_id)
    for run in runs:
        for other in sorted(run.variant_ids - missing.keys() - found.keys()):
            if not alike or left.spent:
                return
            key = run.key_of(other)
            if key in alike and (time := run.time_of(other)):
                found |= dict.fromkeys(alike.pop(key), time)


class _Budget:
    """How many more files may be read."""

    def __init__(self, files: int) -> None:
        self._files = files

    @property
    def spent(self) -> bool:
        return self._files <= 0

    def take(self) -> bool:
        """Whether there was one left."""
        self._files -= 1
        return self._files >= 0


class _Run:
    """An earlier run, of which only what is asked for is read."""

    def __init__(
        self, path: Path, files: Mapping[str, Sequence[str]], device: DeviceKind, left: _Budget
    ) -> None:
        self._folder, self._files, self._device, self._left = Folder(path), files, device, left
        self._invocations: list[Any] | None = None

    @property
    def variant_ids(self) -> set[str]:
        """Of the trials that have a record."""
        return set(self._files)

    def key_of(self, variant_id: str) -> str:
        """``history_key`` of a variant, as a record of it has it; empty where none can be read."""
        for record in self._records(variant_id, most=1):
            try:
                return history_key(Variant.model_validate(record["trial"]["variant"]))
            except (KeyError, TypeError, ValueError):
                continue
        return ""

    def time_of(self, variant_id: str) -> MeasuredTime | None:
        """The medians over some trials of a variant; None where none serves."""
        records = self._records(variant_id, most=_RECORDS_EACH)
        times = [time for record in records if (time := self._time(record)) is not None]
        if not times:
            return None
        start_s, epoch_s = (statistics.median(part) for part in zip(*times, strict=True))
        return MeasuredTime(start_s, epoch_s, str(self._folder.path))

    def _records(self, variant_id: str, most: int) -> Iterator[dict[str, Any]]:
        for name in itertools.islice(self._files[variant_id], most):
            if self._left.take() and (record := _read(self._folder / "trials", name)) is not None:
                yield record

    def _time(self, record: Mapping[str, Any]) -> tuple[float, float] | None:
        """Seconds of the start and of an epoch; None where the record does not serve."""
        if record.get("status") != "completed":
            return None
        environments = self._environments(record.get("invocation"))
        kind = device_of_record(record, environments)
        return _split(record) if kind is not None and kind.is_like(self._device) else None

    def _environments(self, invocation: Any) -> Mapping[str, Any]:
        if self._invocations is None:
            info = _read(self._folder, "run.json") or {}
            invocations = info.get("invocations")
            self._invocations = invocations if isinstance(invocations, list) else []
        try:
            environments = self._invocations[invocation]["environment"]
        except (IndexError, KeyError, TypeError):
            return {}
        return environments if isinstance(environments, Mapping) else {}


def _files(run: Path) -> dict[str, list[str]]:
    """Names of a run's records by variant; none of a published run, or where there is no run."""
    found: dict[str, list[str]] = defaultdict(list)
    try:
        with os.scandir(run / "trials") as entries:
            for entry in itertools.islice(entries, _MOST_FILES):
                name, _, suffix = entry.name.partition(".")
                _, dash, variant_id = name.rpartition("-")
                if suffix == "json" and dash:
                    found[variant_id].append(entry.name)
    except OSError:
        return {}
    return found


def _read(folder: Folder, name: str) -> dict[str, Any] | None:
    try:
        return read_json(folder, name, "", _MOST_BYTES)
    except RunFolderError:
        return None


def _split(record: Mapping[str, Any]) -> tuple[float, float] | None:
    """A trial's seconds before and between its epochs, and those of a steady epoch."""
    try:
        epochs = [(_spent_s(epoch), epoch["warmup"]) for epoch in record["epochs"]]
        steady = [seconds for seconds, warmup in epochs if not warmup]
        start_s = _number(record["wall_s"]) - sum(seconds for seconds, _ in epochs)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return (max(0.0, start_s), statistics.median(steady)) if steady else None


def _spent_s(epoch: Mapping[str, Any]) -> float:
    """Seconds of an epoch's training, however often it was timed, and of its validation."""
    trained_s = _number(epoch["epoch_s"]) * _number(epoch.get("repeats", 1))
    return trained_s + _number(epoch.get("evaluate_s") or 0.0)


def _number(value: Any) -> float:
    """``value`` as it is, where it is finite and not negative; ValueError where not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")
    if not math.isfinite(value) or value < 0:
        raise ValueError("neither a time nor a count")
    return float(value)
