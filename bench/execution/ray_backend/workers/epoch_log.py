"""Log the epochs that a worker has finished in a file beside its log, which outlives the worker.

Usage:
    append_epoch(log, epoch)         # in the worker
    lines = epoch_lines(log)         # on its node, from any process
    epochs = with_lines(known, lines)

A progress report may still be on its way to the driver when the worker, its node or Ray ends.
"""

import contextlib
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from bench.records.epoch_record import EpochRecord

_MAX_BYTES = 64 * 2**20


def append_epoch(log: str, epoch: EpochRecord) -> None:
    """Append a line; if the disk is full, the driver still gets the epoch as a progress report.

    Nothing is written, and nothing blocks, if the file is not a regular file of this user.
    """
    line = epoch.model_dump_json() + "\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    with contextlib.suppress(OSError):
        file = os.open(_path(log), flags, 0o600)
        try:
            if _is_own(file):
                os.write(file, line.encode())
        finally:
            os.close(file)


def epoch_lines(log: str) -> tuple[str, ...]:
    """Return the epochs as JSON; none if this user has no such file."""
    try:
        handle = os.open(_path(log), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if not _is_own(handle):
                return ()
            content = file.read(_MAX_BYTES)
    except OSError:
        return ()
    return tuple(content.decode(errors="replace").splitlines())


def remove_epochs(log: str) -> None:
    """Delete the file, if there is one."""
    with contextlib.suppress(OSError):
        _path(log).unlink()


def with_lines(known: Sequence[EpochRecord], lines: Iterable[str]) -> tuple[EpochRecord, ...]:
    """Return ``known`` and the epochs of ``lines`` that follow, up to the first incomplete line."""
    epochs = list(known)
    for line in lines:
        try:
            epoch = EpochRecord.model_validate_json(line)
        except ValidationError:
            break
        if epoch.epoch == len(epochs):
            epochs.append(epoch)
    return tuple(epochs)


def _is_own(handle: int) -> bool:
    """Return whether it is a regular file of this user with only one name.

    In the folder of a Ray that this package has not started, any user can replace the file.
    """
    status = os.fstat(handle)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1


def _path(log: str) -> Path:
    return Path(log).with_suffix(".epochs")
