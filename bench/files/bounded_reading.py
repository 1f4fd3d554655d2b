"""Read files of unknown origin safely: only regular files, up to a maximum size.

Usage:
    content = read_file(path, most_bytes=MiB)       # UnsafeFileError if it is a pipe, for example

Reading a named pipe or a device could block or never end, and a sparse file can have any size.
None of them is read. The time to read a file is proportional to its size.
"""

import errno
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

KiB, MiB, GiB = 2**10, 2**20, 2**30
_UNITS = ((GiB, "GiB"), (MiB, "MiB"), (KiB, "KiB"))
# Without O_NONBLOCK, opening a pipe blocks until a writer opens it.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class UnsafeFileError(OSError):
    """Raised for a link, a pipe, a device or a file that is too large; ``strerror`` says which."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EINVAL, reason)


def read_file(path: Path | str, most_bytes: int) -> bytes:
    """Read the file at ``path``, which may be a link because the user names it.

    Raises UnsafeFileError if it is not a regular file or is larger than ``most_bytes``, and any
    other OSError that ``open`` raises.
    """
    handle = _open(path, _FLAGS, None)
    try:
        return _read(handle, most_bytes)
    finally:
        os.close(handle)


def read_at(folder: int, name: str, most_bytes: int) -> bytes:
    """Read the file ``name`` in an open ``folder``, with the same checks; also refuse a link."""
    handle = _open(name, _FLAGS | os.O_NOFOLLOW, folder)
    try:
        return _read(handle, most_bytes)
    finally:
        os.close(handle)


def open_at(folder: int, name: str, most_bytes: int) -> BinaryIO:
    """Open the file ``name`` in an open ``folder`` to read it in parts, with the same checks."""
    handle = _open(name, _FLAGS | os.O_NOFOLLOW, folder)
    try:
        _check(handle, most_bytes)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def refusal(mode: int) -> OSError:
    """Return the error for a file with this ``mode``, which is not a regular file."""
    if stat.S_ISDIR(mode):
        return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    what = "is a symbolic link" if stat.S_ISLNK(mode) else "is not a regular file"
    return UnsafeFileError(what)


def _open(path: Path | str, flags: int, folder: int | None) -> int:
    try:
        return os.open(path, flags, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP and folder is not None:
            raise refusal(stat.S_IFLNK) from None
        if error.errno == errno.ENXIO:
            raise refusal(stat.S_IFSOCK) from None
        raise


def _read(handle: int, most_bytes: int) -> bytes:
    size = _check(handle, most_bytes)
    content = os.read(handle, size + 1)
    if len(content) == size:  # the usual case
        return content
    # Another process is writing to it, or it is too large for a single call.
    parts = io.BytesIO()
    while content:
        parts.write(content)
        if parts.tell() > most_bytes:
            raise _too_large(most_bytes)
        content = os.read(handle, MiB)
    return parts.getvalue()


def _check(handle: int, most_bytes: int) -> int:
    """Return the size in bytes of a regular file; UnsafeFileError for any other or a larger one."""
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise refusal(status.st_mode)
    if status.st_size > most_bytes:
        raise _too_large(most_bytes)
    return status.st_size


def _too_large(most_bytes: int) -> UnsafeFileError:
    size, unit = next((unit for unit in _UNITS if most_bytes >= unit[0]), (1, "bytes"))
    return UnsafeFileError(f"is larger than {most_bytes // size} {unit}")
