"""The files of a run folder as plain data: found whole, of this schema, or told of.

Usage:
    record_at(".../trials/3f0c-b0.json")          # RunFolderError with the cure where it is damaged
    for record in published(path, all_attempts=True): ...
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from bench.errors import RunFolderError
from bench.records.migrate import migrated
from bench.records.record import TrialRecord
from bench.spec.problem import described

_CHUNK_BYTES = 1 << 16
RESTORE = "restore it from a copy"
_RUN_AGAIN = "restore it, or delete it and run again with --resume"


def record_at(path: str) -> dict[str, Any]:
    """The record in a file of its own."""
    record = read_json(path, _RUN_AGAIN)
    if not isinstance(record.get("trial"), dict):
        raise RunFolderError(f"{path}: no record of a trial: move it elsewhere")
    return record


def checked(raw: Mapping[str, Any], where: str) -> TrialRecord:
    """The record that ``raw``, found in the file ``where``, is."""
    try:
        return TrialRecord.model_validate(raw)
    except ValidationError as error:
        raise RunFolderError(f"{where}: {described(error.errors()[0])}: {_RUN_AGAIN}") from None


def read_json(path: Path | str, cure: str) -> dict[str, Any]:
    """What a file of a run folder holds; ``cure`` is what to do where it is damaged."""
    try:
        content = _content(path)
    except OSError as error:
        raise RunFolderError(
            f"{path}: {error.strerror or error}: make that file readable"
        ) from None
    return _checked(content, path, cure)


def _content(path: Path | str) -> bytes:
    # Half the system calls of a file object, of which a large run has 100,000.
    handle = os.open(path, os.O_RDONLY)
    try:
        content = b""
        while part := os.read(handle, _CHUNK_BYTES):
            content += part
        return content
    finally:
        os.close(handle)


def _checked(text: bytes, path: Path | str, cure: str) -> dict[str, Any]:
    try:
        content = from_json(text)
    except ValueError as error:
        raise RunFolderError(f"{path}: damaged ({error}): {cure}") from None
    if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
        raise RunFolderError(f"{path}: not a file of bench run: {cure}")
    return migrated(content, path)


def published(path: Path, *, all_attempts: bool) -> Iterator[dict[str, Any]]:
    """The records in the one file of a published run."""
    records = [_checked(line, path, RESTORE) for line in path.read_bytes().splitlines()]
    for record in records:
        if not isinstance(record.get("trial"), dict):
            raise RunFolderError(f"{path}: a line is no record of a trial: {RESTORE}")
    last = {str(record["trial"].get("trial_id")): record for record in records}
    yield from records if all_attempts else last.values()
