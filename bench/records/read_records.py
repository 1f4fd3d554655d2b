"""Read the files of a run folder as plain data, or report what is wrong with them.

Usage:
    read_json(files, "run.json", RESTORE)     # RunFolderError with the remedy if it is damaged
    for path, record in records_in(files / "trials", all_attempts=True): ...

Links, pipes, devices and files larger than those of any run are refused. The time to read a file
is proportional to its size.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError
from pydantic_core import from_json

from bench.errors import RunFolderError
from bench.files.bounded_reading import GiB, MiB, UnsafeFileError, read_at
from bench.files.folder import Folder
from bench.records.migration import migrate
from bench.records.trial_record import TrialRecord
from bench.spec.error_text import error_text

MAX_BYTES = 128 * MiB
"""Limit for run.json, which lists 100,000 trials in 20 MiB, and for a record, which reaches it with
300,000 epochs of twenty windows each."""
MAX_PUBLISHED_BYTES = 4 * GiB
"""Limit for a file of all records."""
RESTORE = "restore it from a copy"
_RESTORE_FOLDER = "restore that folder from a copy"
_REPEAT_TRIAL = "restore it, or delete it and run again with --resume"

Fingerprint = list[tuple[str, int, int, int, int, int]]
"""For each file its name, device, inode, size (bytes) and the times (ns) at which its content and
its inode changed. Only the kernel sets the last one, so it cannot be copied from another file."""


def records_in(folder: Folder, *, all_attempts: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path and content of each record file in the order of the names.

    Without ``all_attempts``, earlier attempts are left out.
    """
    with _read_errors(folder.path, _RESTORE_FOLDER), folder.handle() as handle:
        with os.scandir(handle) as entries:
            names = sorted(entry.name for entry in entries if _is_record(entry))
        # Plain strings, because Path objects for 100,000 files take seconds longer.
        prefix = f"{folder.path}{os.sep}"
        for name in names:
            if all_attempts or ".attempt" not in name:
                yield prefix + name, _record(handle, name, prefix + name)


def folder_fingerprint(folder: Folder) -> Fingerprint:
    """Return the fingerprint of the JSON files in ``folder``, sorted by name."""
    with _read_errors(folder.path, _RESTORE_FOLDER), folder.handle() as handle:
        device = os.fstat(handle).st_dev
        with os.scandir(handle) as entries:
            files = [(e.name, e.stat(follow_symlinks=False)) for e in entries if _is_record(e)]
    return sorted(
        (name, device, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in files
    )


def _is_record(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(".json")


def _record(folder: int, name: str, path: str) -> dict[str, Any]:
    with _read_errors(path, _REPEAT_TRIAL):
        content = read_at(folder, name, MAX_BYTES)
    record = _parse(content, path, _REPEAT_TRIAL)
    if not isinstance(record.get("trial"), dict):
        raise RunFolderError(f"{path}: not a trial record: move it elsewhere")
    return record


def parse_record(raw: Mapping[str, Any], path: str) -> TrialRecord:
    """Validate ``raw``, from the file ``path``, as a record; RunFolderError names the fault."""
    try:
        return TrialRecord.model_validate(raw)
    except ValidationError as error:
        raise RunFolderError(f"{path}: {error_text(error.errors()[0])}: {_REPEAT_TRIAL}") from None


def read_json(
    folder: Folder, name: str, remedy: str, most_bytes: int = MAX_BYTES
) -> dict[str, Any]:
    """Read the file ``name`` of a run folder; ``remedy`` says what to do if it is damaged."""
    path = folder.path / name
    with _read_errors(path, remedy):
        content = folder.read(name, most_bytes)
    return _parse(content, path, remedy)


@contextlib.contextmanager
def _read_errors(path: Path | str, remedy: str) -> Iterator[None]:
    """Turn an OSError of a file into RunFolderError, with a remedy."""
    try:
        yield
    except UnsafeFileError as error:
        raise RunFolderError(f"{path}: {error.strerror}: {remedy}") from None
    except OSError as error:
        raise RunFolderError(
            f"{path}: {error.strerror or error}: make that file readable"
        ) from None


def _parse(text: bytes, path: Path | str, remedy: str) -> dict[str, Any]:
    try:
        content = from_json(text)
    except ValueError as error:
        raise RunFolderError(f"{path}: damaged ({error}): {remedy}") from None
    if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
        raise RunFolderError(f"{path}: not a file of bench run: {remedy}")
    return migrate(content, path)


def published_records(folder: Folder, name: str, *, all_attempts: bool) -> Iterator[dict[str, Any]]:
    """Yield the records of a published run, which are in one file, one per line."""
    path = folder.path / name
    with _read_errors(path, RESTORE), folder.reader(name, MAX_PUBLISHED_BYTES) as file:
        records = [_parse(line, path, RESTORE) for line in _lines(file, path)]
    for record in records:
        if not isinstance(record.get("trial"), dict):
            raise RunFolderError(f"{path}: a line is not a trial record: {RESTORE}")
    last = {str(record["trial"].get("trial_id")): record for record in records}
    yield from records if all_attempts else last.values()


def _lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
    while line := file.readline(MAX_BYTES + 1):
        if len(line) > MAX_BYTES:
            raise RunFolderError(f"{path}: a line is longer than any record: {RESTORE}")
        yield line
