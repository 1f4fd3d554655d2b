"""The run folder: every file name of it, written aside and renamed, read back checked.

    <run>/run.json                         what was asked for, and each call that worked on it
    <run>/trials/<trial_id>.json           the last attempt at a trial
    <run>/trials/<trial_id>.attempt1.json  an earlier one
    <run>/trials.csv ... epochs.parquet    the same as tables, made from the records
    <run>/report/                          what ``bench report`` writes
    <run>/.lock                            held by the one driver that may write

Usage:
    folder = RunFolder.create(path, info)  # or RunFolder.open(path)
    with folder.locked():
        folder.write(record)
    for record in folder.records(): ...
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from bench.errors import ResourceError, RunFolderError, StorageError
from bench.records.migrate import migrated
from bench.records.record import SCHEMA_VERSION, TrialRecord
from bench.spec.expand import Pair


class Invocation(BaseModel):
    """One call of ``bench run`` on a folder: when, how, and on what it ran."""

    model_config = ConfigDict(frozen=True)

    started_at: str
    command: tuple[str, ...] = ()
    executor: str
    environment: dict[str, Any] = {}
    """The driver's environment under "driver", and each node's under its name."""
    wall_s: float | None = None
    """How long the call took; None where it did not end by itself."""
    lanes: int = 1
    """How many trials could run at once."""


class RunInfo(BaseModel):
    """The content of ``run.json``."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    suite: dict[str, Any]
    pairs: tuple[Pair, ...]
    trial_ids: tuple[str, ...]
    """In planned order."""
    labels: dict[str, str] = {}
    """The label of each variant by its id, in the order in which the suite names them."""
    invocations: tuple[Invocation, ...] = ()


class RunFolder:
    """A run folder on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, info: RunInfo) -> "RunFolder":
        """Make a new run folder; ResourceError where the place is taken."""
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ResourceError(f"{path}: already exists and is not empty: choose another --out")
        folder = cls(path)
        with _disk_errors(path):
            folder.trials.mkdir(parents=True, exist_ok=True)
        folder.write_info(info)
        return folder

    @classmethod
    def open(cls, path: Path | str) -> "RunFolder":
        """An existing run folder; RunFolderError where there is none at ``path``."""
        folder = cls(Path(path))
        if not folder.path.is_dir():
            raise RunFolderError(f"{path}: no such run folder: name one that bench run made")
        if not (folder.path / "run.json").is_file():
            raise RunFolderError(f"{path}: not a run folder (no run.json): name one of bench run's")
        folder.info()
        return folder

    @property
    def trials(self) -> Path:
        """Where the records are."""
        return self.path / "trials"

    @property
    def report(self) -> Path:
        """Where the report goes."""
        return self.path / "report"

    def table(self, name: str, suffix: str) -> Path:
        """Where a table of the records goes: ``table("epochs", "csv")``."""
        return self.path / f"{name}.{suffix}"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; ResourceError where another driver holds it."""
        lock = FileLock(self.path / ".lock")
        try:
            with _disk_errors(self.path):
                lock.acquire(timeout=0)
        except Timeout:
            raise ResourceError(
                f"{self.path}: another bench run is working on it: wait for it, or choose --out"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def info(self) -> RunInfo:
        """What ``run.json`` holds."""
        return RunInfo.model_validate(_read_json(self.path / "run.json"))

    def write_info(self, info: RunInfo) -> None:
        """Replace ``run.json``."""
        _write_aside(self.path / "run.json", info.model_dump_json(indent=1))

    def write(self, record: TrialRecord) -> None:
        """Keep a record. An earlier attempt at the same trial stays, under its own name.

        Where the disk is full or gone, the record goes to the system's temporary folder and
        StorageError names the file.
        """
        path = self.trials / f"{record.trial.trial_id}.json"
        text = record.model_dump_json()
        try:
            if record.attempt > 1 and path.exists():
                with _disk_errors(path):
                    _keep(path, record.attempt - 1)
            _write_aside(path, text)
        except StorageError as error:
            raise StorageError(
                f"{error}; its record was kept: {_rescue(path.name, text)}"
            ) from None

    def raw_records(self, *, all_attempts: bool = False) -> Iterator[dict[str, Any]]:
        """Each record as plain data, the last attempt at each trial unless all are wanted.

        Fast path for tables: the schema version is checked, the fields are not.
        """
        if not self.trials.is_dir():
            return
        # os.scandir, since globbing 100,000 paths takes ten times as long.
        for name in sorted(entry.name for entry in os.scandir(self.trials)):
            if name.endswith(".json") and (all_attempts or ".attempt" not in name):
                yield _read_json(self.trials / name)

    def records(self, *, all_attempts: bool = False) -> Iterator[TrialRecord]:
        """Each record, checked."""
        for raw in self.raw_records(all_attempts=all_attempts):
            try:
                yield TrialRecord.model_validate(raw)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                name = raw.get("trial", {}).get("trial_id", "?")
                raise RunFolderError(
                    f"{self.trials}: record of trial {name}: {where}: {first['msg']}: "
                    "delete that file and run again with --resume"
                ) from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = from_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"{path}: damaged ({error}): restore it, or delete it and run again with --resume"
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
        raise RunFolderError(f"{path}: not a file of bench run: restore it, or delete it")
    return migrated(content, path)


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A path to write to in the place of ``path``, which it replaces once all went well.

    Raises StorageError where the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with _disk_errors(path):
        try:
            yield temporary
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def _write_aside(path: Path, text: str) -> None:
    with aside(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _keep(path: Path, attempt: int) -> None:
    kept = path.with_name(f"{path.stem}.attempt{attempt}.json")
    if not kept.exists():
        os.link(path, kept)


def _rescue(name: str, text: str) -> Path:
    handle, rescued = tempfile.mkstemp(prefix="bench-", suffix=f"-{name}")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(rescued)


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path}: {error.strerror or error}: free space or make the folder writable"
        ) from None
