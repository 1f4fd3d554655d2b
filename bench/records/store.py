"""The run folder: every file name of it, written aside and renamed, read back checked.

    <run>/run.json                         what was asked for, and each call that worked on it
    <run>/trials/<trial_id>.json           the last attempt at a trial
    <run>/trials/<trial_id>.attempt1.json  an earlier one
    <run>/trials.csv ... epochs.parquet    the same as tables, made from the records
    <run>/report/                          what ``bench report`` writes
    <run>/.lock                            held by the one driver that may write
    <run>/records.jsonl                    in trials' place where a run was published

It may come from a stranger. Its path may be a link, since the user names it; nothing below may,
nor be a pipe or a device, and everything there is opened from the folder's own handle.

Usage:
    folder = RunFolder.create(path, info)  # or RunFolder.open(path)
    with folder.locked():
        folder.write(record)
    for record in folder.records(): ...
"""

import contextlib
import itertools
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import ResourceError, RunFolderError, StorageError, SuiteError
from bench.files.folder import Folder, check_place
from bench.files.user_path import user_path
from bench.records.disk import disk_errors, make_folder, rescue, write_aside
from bench.records.ranges import Moment, Positive, Said, Seconds
from bench.records.read import (
    MOST_BYTES,
    RESTORE,
    Marks,
    checked,
    marks_in,
    published,
    read_json,
    records_in,
)
from bench.records.record import SCHEMA_VERSION, LeftOut, TrialRecord
from bench.records.shapes import NodeEnvironment, StoredPair, StoredSuite
from bench.spec.expand import Duplicate, Id
from bench.spec.fail_fast import FailFastDict, FailFastTuple
from bench.spec.jit import DeviceType
from bench.spec.problem import described
from bench.spec.suite import Suite, parse_suite


class Invocation(BaseModel):
    """One call of ``bench run`` on a folder: when, how, and on what it ran."""

    model_config = ConfigDict(frozen=True)

    started_at: Moment
    command: FailFastTuple[Said] = ()
    executor: str
    environment: FailFastDict[NodeEnvironment] = {}
    """The driver's environment under "driver", and each node's under its name."""
    wall_s: Seconds | None = None
    """How long the call took; None where it did not end by itself."""
    lanes: Positive = 1
    """How many trials could run at once."""
    left_out: FailFastTuple[LeftOut] = ()
    """GPUs that it did not use, from its start or from when they were found unfit."""
    warnings: FailFastTuple[str] = ()
    """What made its times doubtful as it started, a line each."""


class RunInfo(BaseModel):
    """The content of ``run.json``."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    suite: StoredSuite
    defaults_for: DeviceType | None = None
    """The kind of device for which the variants' defaults were chosen; None before the first call
    knows its devices, and in folders of before ``jit`` depended on them: it was as on a GPU."""
    pairs: FailFastTuple[StoredPair]
    trial_ids: FailFastTuple[Id]
    """In planned order; none before the first call knows its devices."""
    labels: FailFastDict[str] = {}
    """The label of each variant by its id, in the order in which the suite names them."""
    duplicates: FailFastTuple[Duplicate] = ()
    """Variants of the suite that train like others, and were not run beside them."""
    invocations: FailFastTuple[Invocation] = ()
    remark: str = ""
    """What a reader must know besides, such as what else ran on the machine."""


class RunFolder:
    """A run folder on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = Folder(path)
        """For all that is written to it, or read from it."""
        self._made: tuple[Path, ...] = ()
        self._written = False

    @classmethod
    def create(cls, path: Path, info: RunInfo) -> "RunFolder":
        """Make a new run folder; ResourceError where the place is taken.

        Where it cannot be made, none of it is left.
        """
        folder = cls(path)
        cls.check_free(path)
        with disk_errors(path):
            folder._made = tuple(f for f in (path, *path.parents) if not f.exists())
        make_folder(folder.files / "trials")
        try:
            folder.write_info(info)
        except BaseException:
            folder.discard()
            raise
        return folder

    @classmethod
    def check_free(cls, path: Path) -> None:
        """ResourceError where ``path`` is neither missing, nor empty, nor ``was_never_begun``."""
        with disk_errors(path):
            empty = path.is_dir() and not any(path.iterdir())
            if path.exists() and not empty and not cls.was_never_begun(path):
                raise ResourceError(
                    f"{path}: already exists and is not empty: choose another --out"
                )

    @classmethod
    def was_never_begun(cls, path: Path) -> bool:
        """Whether ``path`` holds something, and only what ``create`` leaves where it is killed."""
        try:
            names = {entry.name for entry in path.iterdir()}
            recorded = "trials" in names and any((path / "trials").iterdir())
        except OSError:
            return False
        aside = all(name.startswith(".run.json") for name in names - {"trials"})
        return bool(names) and aside and not recorded

    @classmethod
    def open(cls, path: Path | str) -> "RunFolder":
        """An existing run folder; RunFolderError where there is none at ``path``."""
        folder = cls(user_path(path))
        if not folder.path.is_dir():
            raise RunFolderError(f"{path}: no such run folder: name one that bench run made")
        try:
            os.lstat(folder.path / "run.json")
        except FileNotFoundError:
            raise RunFolderError(
                f"{path}: not a run folder (no run.json): name one of bench run's"
            ) from None
        except OSError:
            pass  # it is there, and ``info`` says why it is not read
        folder.info()
        return folder

    @property
    def trials(self) -> Path:
        """Where the records are."""
        return self.path / "trials"

    @property
    def published(self) -> Path:
        """All attempts in one file, a line each, the last at a trial after the earlier ones."""
        return self.path / "records.jsonl"

    def marks(self) -> Marks:
        """What tells run.json and each record's file from any other; none where it was published.

        They change whenever one of these does, whoever changes it.
        """
        if not os.path.lexists(self.trials):
            return []
        return [*marks_in(self.files), *marks_in(self.files / "trials")]

    @property
    def report(self) -> Path:
        """Where the report goes."""
        return self.report_files.path

    @property
    def report_files(self) -> Folder:
        """The same, to write to."""
        return self.files / "report"

    def table(self, name: str, suffix: str) -> Path:
        """Where a table of the records goes: ``table("epochs", "csv")``."""
        return self.path / f"{name}.{suffix}"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; ResourceError where another driver holds it.

        StorageError where there is a link or a special file in the place of its lock.
        """
        path = self.path / ".lock"
        lock = FileLock(path)
        with disk_errors(path), self.files.handle() as handle:
            check_place(handle, path.name)
            try:
                lock.acquire(timeout=0)
            except Timeout:  # An OSError too, but no fault of the disk.
                raise ResourceError(
                    f"{self.path}: another bench run is working on it: "
                    "wait for it, or choose another --out"
                ) from None
        try:
            yield
        finally:
            lock.release()

    def discard(self) -> bool:
        """Remove the folder, and those made for it, if it never had a record; whether it is gone.

        A record that the disk had no room for counts: it is to be moved here.
        """
        if self._written:
            return False
        with contextlib.suppress(OSError):
            self.trials.rmdir()  # fails where there is a record
            for name in ("run.json", ".lock"):
                (self.path / name).unlink(missing_ok=True)
            self.path.rmdir()
            for folder in self._made[1:]:
                folder.rmdir()  # fails where another run is in it
        return not self.path.exists()

    def info(self) -> RunInfo:
        """What ``run.json`` holds."""
        path = self.path / "run.json"
        try:
            return RunInfo.model_validate(read_json(self.files, path.name, RESTORE))
        except ValidationError as error:
            raise RunFolderError(
                f"{path}: {described(error.errors()[0])}: restore that file"
            ) from None

    def suite(self) -> Suite:
        """The suite that the run was made from."""
        path = self.path / "run.json"
        try:
            return parse_suite(self.info().suite, f"{path}: suite")
        except SuiteError as error:
            raise RunFolderError(f"{error}: {RESTORE}") from None

    def write_info(self, info: RunInfo) -> None:
        """Replace ``run.json``."""
        write_aside(self.files, "run.json", info.model_dump_json(indent=1))

    def write(self, record: TrialRecord) -> None:
        """Keep a record. An earlier attempt at the same trial stays, under its own name.

        Where the disk is full or gone, the record goes to the system's temporary folder, or
        to the first other place that takes it, and StorageError names the file.
        """
        self._written = True
        trials, name = self.files / "trials", f"{record.trial.trial_id}.json"
        text = record.model_dump_json()
        try:
            _keep_earlier(trials, name)
            write_aside(trials, name, text)
        except StorageError as error:
            raise StorageError(f"{error}; {rescue(trials.path / name, text)}") from None

    def raw_records(self, *, all_attempts: bool = False) -> Iterator[dict[str, Any]]:
        """Each record as plain data, the last attempt at each trial unless all are wanted.

        Fast path for tables: the schema version is checked, and that the trial is one of this
        run's; the other fields are not.
        """
        for _, record in self._found(all_attempts):
            yield record

    def records(
        self, *, all_attempts: bool = False, which: Callable[[dict[str, Any]], bool] | None = None
    ) -> Iterator[TrialRecord]:
        """Each record, or those of which ``which`` says so as plain data, checked.

        RunFolderError names the file and the field that is wrong.
        """
        for where, raw in self._found(all_attempts):
            if which is None or which(raw):
                yield checked(raw, where)

    def _found(self, all_attempts: bool) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each record, and the file that it is in."""
        where = str(self.published)
        if os.path.lexists(self.trials):
            found = _once(records_in(self.files / "trials", all_attempts=all_attempts))
        elif os.path.lexists(self.published):
            lines = published(self.files, self.published.name, all_attempts=all_attempts)
            found = ((where, record) for record in lines)
        else:
            return
        planned = set(self.info().trial_ids)
        for path, record in found:
            yield path, _of_run(record, planned, path)


_MOVE = "move that file elsewhere"


def _once(found: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    earlier: dict[str, Any] | None = None
    for path, record in found:
        name = path.rpartition(os.sep)[2].removesuffix(".json").partition(".attempt")[0]
        if record["trial"].get("trial_id") != name:
            raise RunFolderError(f"{path}: trial.trial_id is another trial's: {_MOVE}")
        # Twice there after a kill between keeping an attempt and writing the next one.
        if record != earlier:
            yield path, record
        earlier = record


def _of_run(record: dict[str, Any], planned: Collection[str], where: str) -> dict[str, Any]:
    trial_id = record["trial"].get("trial_id")
    if not isinstance(trial_id, str) or trial_id not in planned:
        raise RunFolderError(f"{where}: trial.trial_id is none of this run's trials: {_MOVE}")
    return record


def _keep_earlier(trials: Folder, name: str) -> None:
    """Copy the attempt that ``name`` holds to a name of its own, since ``name`` is the last's.

    A copy and not a link, which not every file system has.
    """
    with disk_errors(trials.path / name), contextlib.suppress(FileNotFoundError):
        content = trials.read(name, MOST_BYTES)
        names = (f"{name.removesuffix('.json')}.attempt{n}.json" for n in itertools.count(1))
        trials.write(next(n for n in names if not os.path.lexists(trials.path / n)), content)
