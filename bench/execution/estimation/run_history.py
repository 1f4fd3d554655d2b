"""Read the times that earlier runs measured, to estimate those of future runs.

Usage:
    times = measured_times([out, *recent_runs()], {variant.id: variant}, device)
    times[variant.id].epoch_s

A variant's time is the median over its trials in the newest run that has any on the same kind of
device. Runs that differ in epochs or seed count as well. The number of files read is limited, so
that planning stays fast next to thousands of records. Unreadable or implausible files are skipped.
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
from bench.records.read_records import read_json
from bench.spec.axis_groups import LENGTH_AXES
from bench.spec.variant import Variant

RUNS = Path("results/runs")
"""The default folder for runs."""

_MAX_RUNS = 20
_MAX_RECORDS = 600
"""Records to read in total."""
_MAX_VARIANTS = 2_000
"""Variants for which to search trials with other epochs."""
_MAX_FILES = 20_000
"""File names to look at in a run."""
_MAX_BYTES = 8 * 2**20
"""Size of a file to read."""
_RECORDS_PER_VARIANT = 3


@dataclass(frozen=True)
class MeasuredTime:
    """What trials of a variant took in an earlier run."""

    start_s: float
    """Wall time outside the epochs: process, imports, data, compilation, the final test."""
    epoch_s: float
    """Training and validation of one epoch."""
    run: str
    """The run folder's path."""


def history_key(variant: Variant) -> str:
    """Return a key that is equal for variants whose epochs take equally long."""
    settings = {k: v for k, v in variant.canonical().items() if k not in LENGTH_AXES}
    return json.dumps(settings, sort_keys=True)


def recent_runs(folder: Path = RUNS) -> list[Path]:
    """Return the newest run folders in ``folder``, newest first."""
    dated = []
    try:
        with os.scandir(folder) as entries:
            for entry in itertools.islice(entries, _MAX_FILES):
                info = Path(entry.path, "run.json")
                if info.is_file():
                    dated.append((info.stat().st_mtime, Path(entry.path)))
    except OSError:  # no run yet, or a run that is being removed
        pass
    return [path for _, path in sorted(dated, reverse=True)[:_MAX_RUNS]]


def measured_times(
    folders: Iterable[Path], variants: Mapping[str, Variant], device: DeviceKind
) -> dict[str, MeasuredTime]:
    """Return the measured times of ``variants`` on ``device``, by id; earlier folders win."""
    budget = _Budget(_MAX_RECORDS)
    runs = [_Run(path, files, device, budget) for path in folders if (files := _files(path))]
    times: dict[str, MeasuredTime] = {}
    for run in runs:
        for variant_id in sorted(run.variant_ids & variants.keys() - times.keys()):
            if time := run.time_of(variant_id):
                times[variant_id] = time
    missing = {i: variant for i, variant in variants.items() if i not in times}
    if runs and len(missing) <= _MAX_VARIANTS:
        _add_other_lengths(times, runs, missing, budget)
    return times


def _add_other_lengths(
    times: dict[str, MeasuredTime],
    runs: Iterable["_Run"],
    missing: Mapping[str, Variant],
    budget: "_Budget",
) -> None:
    """Add times of trials with other epochs; their ids differ, so a record of each must be read."""
    alike: dict[str, list[str]] = defaultdict(list)
    for variant_id, variant in missing.items():
        alike[history_key(variant)].append(variant_id)
    for run in runs:
        for other in sorted(run.variant_ids - missing.keys() - times.keys()):
            if not alike or budget.is_spent:
                return
            key = run.key_of(other)
            if key in alike and (time := run.time_of(other)):
                times |= dict.fromkeys(alike.pop(key), time)


class _Budget:
    """A limit on the number of files to read."""

    def __init__(self, files: int) -> None:
        self._files = files

    @property
    def is_spent(self) -> bool:
        """Whether no more files may be read."""
        return self._files <= 0

    def spend(self) -> bool:
        """Count one more file; return whether it may be read."""
        self._files -= 1
        return self._files >= 0


class _Run:
    """An earlier run, which reads only the records that its callers need."""

    def __init__(
        self, path: Path, files: Mapping[str, Sequence[str]], device: DeviceKind, budget: _Budget
    ) -> None:
        self._folder, self._files, self._device, self._budget = Folder(path), files, device, budget
        self._invocations: list[Any] | None = None

    @property
    def variant_ids(self) -> set[str]:
        """Ids of the variants that have a record."""
        return set(self._files)

    def key_of(self, variant_id: str) -> str:
        """Return a variant's ``history_key`` from one of its records; empty if none is readable."""
        for record in self._records(variant_id, most=1):
            try:
                return history_key(Variant.model_validate(record["trial"]["variant"]))
            except (KeyError, TypeError, ValueError):
                continue
        return ""

    def time_of(self, variant_id: str) -> MeasuredTime | None:
        """Return the median times over some trials of a variant; None if no record is usable."""
        records = self._records(variant_id, most=_RECORDS_PER_VARIANT)
        times = [time for record in records if (time := self._time(record)) is not None]
        if not times:
            return None
        start_s, epoch_s = (statistics.median(part) for part in zip(*times, strict=True))
        return MeasuredTime(start_s, epoch_s, str(self._folder.path))

    def _records(self, variant_id: str, most: int) -> Iterator[dict[str, Any]]:
        for name in itertools.islice(self._files[variant_id], most):
            if (
                self._budget.spend()
                and (record := _read(self._folder / "trials", name)) is not None
            ):
                yield record

    def _time(self, record: Mapping[str, Any]) -> tuple[float, float] | None:
        """Return the seconds of the start and of an epoch; None if the record is unusable."""
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
    """Return the file names of a run's records by variant; none for a published or missing run."""
    names: dict[str, list[str]] = defaultdict(list)
    try:
        with os.scandir(run / "trials") as entries:
            for entry in itertools.islice(entries, _MAX_FILES):
                name, _, suffix = entry.name.partition(".")
                _, dash, variant = name.partition("-")
                if suffix == "json" and dash:
                    names[variant.partition("-")[0]].append(entry.name)
    except OSError:
        return {}
    return names


def _read(folder: Folder, name: str) -> dict[str, Any] | None:
    try:
        return read_json(folder, name, "", _MAX_BYTES)
    except RunFolderError:
        return None


def _split(record: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return a trial's seconds outside its epochs, and the seconds of a steady epoch."""
    try:
        epochs = [(_training_s(epoch), epoch["warmup"]) for epoch in record["epochs"]]
        steady = [seconds for seconds, warmup in epochs if not warmup]
        start_s = _number(record["wall_s"]) - sum(seconds for seconds, _ in epochs)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return (max(0.0, start_s), statistics.median(steady)) if steady else None


def _training_s(epoch: Mapping[str, Any]) -> float:
    """Return the seconds of an epoch's training, over all repeats, and of its validation."""
    trained_s = _number(epoch["epoch_s"]) * _number(epoch.get("repeats", 1))
    return trained_s + _number(epoch.get("evaluate_s") or 0.0)


def _number(value: Any) -> float:
    """Return ``value`` as a float; ValueError unless it is a finite number and not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a number")
    if not math.isfinite(value) or value < 0:
        raise ValueError("neither a time nor a count")
    return float(value)
