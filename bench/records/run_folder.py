"""Read and write the run folder: all its file names, atomic writes, checked reads.

    <run>/run.json                         the plan, and each call of bench run that worked on it
    <run>/trials/<trial_id>.json           the last attempt at a trial
    <run>/trials/<trial_id>.attempt1.json  an earlier attempt
    <run>/trials.csv ... epochs.parquet    tables made from the records
    <run>/setup-<environment>.log          what the setup of an environment printed
    <run>/report/                          what ``bench report`` writes
    <run>/.lock                            locked by the one driver that may write
    <run>/records.jsonl                    replaces trials/ in a published run

The folder may come from a stranger. Its path may be a link, because the user names it. Nothing
below it may be a link, a pipe or a device, and everything there is opened from the folder's handle.

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
from pydantic import ValidationError

from bench.errors import ResourceError, RunFolderError, StorageError, SuiteError
from bench.files.folder import Folder, check_regular
from bench.files.user_path import user_path
from bench.records.atomic_write import disk_errors, make_folder, rescue, write_atomically
from bench.records.read_records import (
    MAX_BYTES,
    RESTORE,
    Fingerprint,
    folder_fingerprint,
    parse_record,
    published_records,
    read_json,
    records_in,
)
from bench.records.run_info import RunInfo
from bench.records.trial_record import TrialRecord
from bench.spec.error_text import error_text
from bench.spec.suite import Suite, parse_suite
from bench.spec.turn_settings import BEFORE_TURNS

_SETUP = "setup-"


class RunFolder:
    """A run folder on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = Folder(path)
        """The folder through which all files are read and written."""
        self._new_folders: tuple[Path, ...] = ()
        self._has_record = False

    @classmethod
    def create(cls, path: Path, info: RunInfo) -> "RunFolder":
        """Make a new run folder; ResourceError if ``path`` is in use.

        If it cannot be made, nothing remains of it.
        """
        folder = cls(path)
        cls.check_free(path)
        with disk_errors(path):
            folder._new_folders = tuple(f for f in (path, *path.parents) if not f.exists())
        make_folder(folder.files / "trials")
        try:
            folder.write_info(info)
        except BaseException:
            folder.discard()
            raise
        return folder

    @classmethod
    def check_free(cls, path: Path) -> None:
        """Raise ResourceError unless ``path`` is missing, empty or ``was_never_begun``."""
        with disk_errors(path):
            empty = path.is_dir() and not any(path.iterdir())
            if path.exists() and not empty and not cls.was_never_begun(path):
                raise ResourceError(
                    f"{path}: already exists and is not empty: choose another --out"
                )

    @classmethod
    def was_never_begun(cls, path: Path) -> bool:
        """Return whether ``path`` holds only what a killed ``create`` leaves behind."""
        try:
            names = {entry.name for entry in path.iterdir()}
            has_record = "trials" in names and any((path / "trials").iterdir())
        except OSError:
            return False
        only_temporary = all(name.startswith(".run.json") for name in names - {"trials"})
        return bool(names) and only_temporary and not has_record

    @classmethod
    def open(cls, path: Path | str) -> "RunFolder":
        """Open an existing run folder; RunFolderError if there is none at ``path``."""
        folder = cls(user_path(path))
        if not folder.path.is_dir():
            raise RunFolderError(f"{path}: no such run folder: name one that bench run made")
        try:
            os.lstat(folder.path / "run.json")
        except FileNotFoundError:
            raise RunFolderError(
                f"{path}: not a run folder (no run.json): name a folder that bench run made"
            ) from None
        except OSError:
            pass  # it exists, and ``info`` reports why it cannot be read
        folder.info()
        return folder

    @property
    def trials(self) -> Path:
        """The folder of the records."""
        return self.path / "trials"

    @property
    def published(self) -> Path:
        """The file of a published run: one attempt per line, the last at a trial after others."""
        return self.path / "records.jsonl"

    def fingerprint(self) -> Fingerprint:
        """Return a fingerprint of run.json and the record files; empty for a published run.

        It changes whenever any process changes one of these files.
        """
        if not os.path.lexists(self.trials):
            return []
        return [*folder_fingerprint(self.files), *folder_fingerprint(self.files / "trials")]

    @property
    def report(self) -> Path:
        """The path of the report."""
        return self.report_files.path

    @property
    def report_files(self) -> Folder:
        """The folder of the report, for writing."""
        return self.files / "report"

    def table(self, name: str, suffix: str) -> Path:
        """Return the path of a table of the records: ``table("epochs", "csv")``."""
        return self.path / f"{name}.{suffix}"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder; ResourceError if another driver has locked it.

        Raises StorageError if its lock file is a link or a special file.
        """
        path = self.path / ".lock"
        lock = FileLock(path)
        with disk_errors(path), self.files.handle() as handle:
            check_regular(handle, path.name)
            try:
                lock.acquire(timeout=0)
            except Timeout:  # an OSError, but not a fault of the disk
                raise ResourceError(
                    f"{self.path}: another bench run is working on it: "
                    "wait for it, or choose another --out"
                ) from None
        try:
            yield
        finally:
            lock.release()

    def discard(self) -> bool:
        """Remove the folder and the parents made for it, unless it ever had a record.

        A record that did not fit on the disk counts, because the user must move it here. Returns
        whether the folder is gone.
        """
        if self._has_record:
            return False
        with contextlib.suppress(OSError):
            self.trials.rmdir()  # fails if there is a record
            for file in (*self.path.glob(f"{_SETUP}*.log"), self.path / "run.json"):
                file.unlink(missing_ok=True)
            (self.path / ".lock").unlink(missing_ok=True)
            self.path.rmdir()
            for folder in self._new_folders[1:]:
                folder.rmdir()  # fails if another run is in it
        return not self.path.exists()

    def info(self) -> RunInfo:
        """Read ``run.json``."""
        path = self.path / "run.json"
        try:
            return RunInfo.model_validate(read_json(self.files, path.name, RESTORE))
        except ValidationError as error:
            raise RunFolderError(
                f"{path}: {error_text(error.errors()[0])}: restore that file"
            ) from None

    def suite(self) -> Suite:
        """Return the suite of the run; one without keys of turns ran as before they existed."""
        path = self.path / "run.json"
        try:
            return parse_suite({**BEFORE_TURNS, **self.info().suite}, f"{path}: suite")
        except SuiteError as error:
            raise RunFolderError(f"{error}: {RESTORE}") from None

    def write_info(self, info: RunInfo) -> None:
        """Replace ``run.json``."""
        write_atomically(self.files, "run.json", info.model_dump_json(indent=1))

    def write_setup_log(self, environment: str, output: str) -> None:
        """Keep what the setup of an environment printed, in place of an earlier call's."""
        write_atomically(self.files, f"{_SETUP}{environment}.log", output)

    def write(self, record: TrialRecord) -> None:
        """Write a record, and keep an earlier attempt at the same trial under another name.

        If the disk is full or gone, the record goes to the system's temporary folder or the first
        other folder that has space, and StorageError names the file.
        """
        self._has_record = True
        trials, name = self.files / "trials", f"{record.trial.trial_id}.json"
        text = record.model_dump_json()
        try:
            _keep_earlier(trials, name)
            write_atomically(trials, name, text)
        except StorageError as error:
            raise StorageError(f"{error}; {rescue(trials.path / name, text)}") from None

    def raw_records(self, *, all_attempts: bool = False) -> Iterator[dict[str, Any]]:
        """Yield each record as plain data: the last attempt at each trial, or all attempts.

        This is the fast path for tables: it checks the schema version and that the trial belongs to
        this run, but no other fields.
        """
        for _, record in self._located_records(all_attempts):
            yield record

    def records(
        self, *, all_attempts: bool = False, which: Callable[[dict[str, Any]], bool] | None = None
    ) -> Iterator[TrialRecord]:
        """Yield each validated record, or only those whose plain data ``which`` accepts.

        RunFolderError names the file and the field that is wrong.
        """
        for path, raw in self._located_records(all_attempts):
            if which is None or which(raw):
                yield parse_record(raw, path)

    def _located_records(self, all_attempts: bool) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the path of each record's file, and the record."""
        if os.path.lexists(self.trials):
            records = _unique(records_in(self.files / "trials", all_attempts=all_attempts))
        elif os.path.lexists(self.published):
            name = self.published.name
            lines = published_records(self.files, name, all_attempts=all_attempts)
            records = ((str(self.published), record) for record in lines)
        else:
            return
        planned = set(self.info().trial_ids)
        for path, record in records:
            yield path, _check_planned(record, planned, path)


_MOVE = "move that file elsewhere"


def _unique(records: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    previous: dict[str, Any] | None = None
    for path, record in records:
        name = path.rpartition(os.sep)[2].removesuffix(".json").partition(".attempt")[0]
        if record["trial"].get("trial_id") != name:
            raise RunFolderError(f"{path}: trial.trial_id is another trial's: {_MOVE}")
        # A kill between copying an attempt and writing the next one leaves it twice.
        if record != previous:
            yield path, record
        previous = record


def _check_planned(record: dict[str, Any], planned: Collection[str], path: str) -> dict[str, Any]:
    trial_id = record["trial"].get("trial_id")
    if not isinstance(trial_id, str) or trial_id not in planned:
        raise RunFolderError(f"{path}: trial.trial_id is not a trial of this run: {_MOVE}")
    return record


def _keep_earlier(trials: Folder, name: str) -> None:
    """Copy the attempt in ``name`` to a numbered name, because ``name`` holds the last attempt.

    It is a copy because not every file system has links.
    """
    with disk_errors(trials.path / name), contextlib.suppress(FileNotFoundError):
        content = trials.read(name, MAX_BYTES)
        names = (f"{name.removesuffix('.json')}.attempt{n}.json" for n in itertools.count(1))
        trials.write(next(n for n in names if not os.path.lexists(trials.path / n)), content)
