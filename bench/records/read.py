"""The files of a run folder as plain data: found whole, of this schema, or told of.

Usage:
    read_json(files, "run.json", RESTORE)     # RunFolderError with the cure where it is damaged
    for path, record in records_in(files / "trials", all_attempts=True): ...

Links, pipes and devices are refused, and what is larger than any run's. To read a file takes time
in proportion to its size.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError
from pydantic_core import from_json

from bench.errors import RunFolderError
from bench.files.folder import Folder
from bench.files.reading import GiB, MiB, UnsafeFileError, read_at
from bench.records.migrate import migrated
from bench.records.record import TrialRecord
from bench.spec.problem import described

MOST_BYTES = 128 * MiB
"""Of run.json, which lists 100,000 trials in 20 MiB, and of a record: 300,000 epochs, each of
twenty windows."""
MOST_PUBLISHED_BYTES = 4 * GiB
"""Of all records in one file."""
RESTORE = "restore it from a copy"
_RESTORE_FOLDER = "restore that folder from a copy"
_RUN_AGAIN = "restore it, or delete it and run again with --resume"

Marks = list[tuple[str, int, int, int, int, int]]
"""Of each file its name, device, inode, size (bytes) and the times (ns) at which its content and
its inode changed. The kernel alone sets the last: nobody can give a file the time of another."""


def records_in(folder: Folder, *, all_attempts: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """The paths of files with a record each, and the records, in the order of the names.

    Without ``all_attempts``, those of earlier attempts are left out.
    """
    with _refusals(folder.path, _RESTORE_FOLDER), folder.handle() as handle:
        with os.scandir(handle) as entries:
            names = sorted(entry.name for entry in entries if _is_record(entry))
        # Plain strings: 100,000 files as Path objects would take seconds more.
        at = f"{folder.path}{os.sep}"
        for name in names:
            if all_attempts or ".attempt" not in name:
                yield at + name, _record(handle, name, at + name)


def marks_in(folder: Folder) -> Marks:
    """What tells the JSON files of ``folder`` from any others, sorted by name."""
    with _refusals(folder.path, _RESTORE_FOLDER), folder.handle() as handle:
        device = os.fstat(handle).st_dev
        with os.scandir(handle) as entries:
            files = [(e.name, e.stat(follow_symlinks=False)) for e in entries if _is_record(e)]
    return sorted(
        (name, device, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in files
    )


def _is_record(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(".json")


def _record(folder: int, name: str, path: str) -> dict[str, Any]:
    with _refusals(path, _RUN_AGAIN):
        content = read_at(folder, name, MOST_BYTES)
    record = _checked(content, path, _RUN_AGAIN)
    if not isinstance(record.get("trial"), dict):
        raise RunFolderError(f"{path}: no record of a trial: move it elsewhere")
    return record


def checked(raw: Mapping[str, Any], where: str) -> TrialRecord:
    """The record that ``raw``, found in the file ``where``, is."""
    try:
        return TrialRecord.model_validate(raw)
    except ValidationError as error:
        raise RunFolderError(f"{where}: {described(error.errors()[0])}: {_RUN_AGAIN}") from None


def read_json(folder: Folder, name: str, cure: str, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """What the file ``name`` of a run folder holds; ``cure`` is what to do where it is damaged."""
    path = folder.path / name
    with _refusals(path, cure):
        content = folder.read(name, most_bytes)
    return _checked(content, path, cure)


@contextlib.contextmanager
def _refusals(path: Path | str, cure: str) -> Iterator[None]:
    """Turn what the system says of a file into RunFolderError, with what to do about it."""
    try:
        yield
    except UnsafeFileError as error:
        raise RunFolderError(f"{path}: {error.strerror}: {cure}") from None
    except OSError as error:
        raise RunFolderError(
            f"{path}: {error.strerror or error}: make that file readable"
        ) from None


def _checked(text: bytes, path: Path | str, cure: str) -> dict[str, Any]:
    try:
        content = from_json(text)
    except ValueError as error:
        raise RunFolderError(f"{path}: damaged ({error}): {cure}") from None
    if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
        raise RunFolderError(f"{path}: not a file of bench run: {cure}")
    return migrated(content, path)


def published(folder: Folder, name: str, *, all_attempts: bool) -> Iterator[dict[str, Any]]:
    """The records in the one file of a published run, a line each."""
    path = folder.path / name
    with _refusals(path, RESTORE), folder.reader(name, MOST_PUBLISHED_BYTES) as file:
        records = [_checked(line, path, RESTORE) for line in _lines(file, path)]
    for record in records:
        if not isinstance(record.get("trial"), dict):
            raise RunFolderError(f"{path}: a line is no record of a trial: {RESTORE}")
    last = {str(record["trial"].get("trial_id")): record for record in records}
    yield from records if all_attempts else last.values()


def _lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
    while line := file.readline(MOST_BYTES + 1):
        if len(line) > MOST_BYTES:
            raise RunFolderError(f"{path}: a line is longer than any record: {RESTORE}")
        yield line
