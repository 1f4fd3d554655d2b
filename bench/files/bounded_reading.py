"""Reading a file of unknown origin: a regular one, whole, of bounded size.

Usage:
    content = read_file(path, most_bytes=MiB)       # UnsafeFileError where it is a pipe, say

A named pipe or a device would be waited for, or never end; a sparse file has any size. None of
them is read. Reading takes time in proportion to the size.
"""

import errno
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

KiB, MiB, GiB = 2**10, 2**20, 2**30
_UNITS = ((GiB, "GiB"), (MiB, "MiB"), (KiB, "KiB"))
# Without O_NONBLOCK, opening a pipe waits for somebody who writes to it.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class UnsafeFileError(OSError):
    """A link, a pipe, a device or a file that is too large; ``strerror`` says which."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EINVAL, reason)


def read_file(path: Path | str, most_bytes: int) -> bytes:
    """The bytes of the file at ``path``, which may be a link, since the user names it.

    Raises UnsafeFileError where it is not a regular file or has more than ``most_bytes``, and
    any other OSError as ``open`` does.
    """
    handle = _opened(path, _FLAGS, None)
    try:
        return _read(handle, most_bytes)
    finally:
        os.close(handle)


def read_at(folder: int, name: str, most_bytes: int) -> bytes:
    """The bytes of the file ``name`` in an open ``folder``; a link is refused as well."""
    handle = _opened(name, _FLAGS | os.O_NOFOLLOW, folder)
    try:
        return _read(handle, most_bytes)
    finally:
        os.close(handle)


def open_at(folder: int, name: str, most_bytes: int) -> BinaryIO:
    """The file ``name`` in an open ``folder``, open to be read in parts, with the same checks."""
    handle = _opened(name, _FLAGS | os.O_NOFOLLOW, folder)
    try:
        _check(handle, most_bytes)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def refusal(mode: int) -> OSError:
    """Why a file of that ``mode`` is neither read nor replaced: it is not a regular one."""
    if stat.S_ISDIR(mode):
        return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    what = "is a symbolic link" if stat.S_ISLNK(mode) else "is not a regular file"
    return UnsafeFileError(what)


def _opened(path: Path | str, flags: int, folder: int | None) -> int:
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
    if len(content) == size:  # nearly always
        return content
    # It is being written to, or has more than a single call reads.
    parts = io.BytesIO()
    while content:
        parts.write(content)
        if parts.tell() > most_bytes:
            raise _too_large(most_bytes)
        content = os.read(handle, MiB)
    return parts.getvalue()


def _check(handle: int, most_bytes: int) -> int:
    """Its size in bytes, where it is a regular file of at most so many."""
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        raise refusal(found.st_mode)
    if found.st_size > most_bytes:
        raise _too_large(most_bytes)
    return found.st_size


def _too_large(most_bytes: int) -> UnsafeFileError:
    size, unit = next((one for one in _UNITS if most_bytes >= one[0]), (1, "bytes"))
    return UnsafeFileError(f"is larger than {most_bytes // size} {unit}")
