"""Guard standard input, output and error, so that only the program decides its exit code.

Usage:
    guard_streams()         # first of all, before any file is opened
"""

import errno
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from bench.errors import StorageError
from bench.files.disk_space import storage_problem

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDOUT, _STDERR = 1, 2
_NO_READER = frozenset({errno.EPIPE, errno.EIO, errno.EBADF, errno.ECONNRESET})
"""A closed pipe, a closed terminal, or a stream that was never open for writing."""


def guard_streams() -> None:
    """Open those of the three streams that are closed, and survive the loss of a reader.

    Otherwise a file opened later would get the number of a closed stream, and what the program
    prints would go into that file.
    """
    while (handle := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(handle, True)  # as for a program that starts with all three
    os.close(handle)
    sys.stdout = _guarded(sys.stdout, _STDOUT)
    sys.stderr = _guarded(sys.stderr, _STDERR)


def _guarded(stream: TextIO | None, handle: int) -> TextIO:
    """Return ``stream`` (None if it was closed) on top of an ``_Output``."""
    plain = stream if isinstance(stream, io.TextIOWrapper) else None
    unbuffered = plain.write_through if plain else False
    output = _Output(handle, "w", closefd=False)
    return io.TextIOWrapper(
        output if unbuffered else io.BufferedWriter(output),
        encoding=plain.encoding if plain else "utf-8",
        errors="replace",  # a character that a terminal lacks is no error
        line_buffering=handle == _STDERR or os.isatty(handle),
        write_through=unbuffered,
    )


class _Output(io.FileIO):
    """Standard output or error; once its reader is gone, it drops what is written."""

    def write(self, content: "ReadableBuffer", /) -> int:
        """Return the number of bytes written. Raises StorageError if the disk of stdout is full."""
        try:
            return super().write(content)
        except OSError as error:
            name = Path(f"/proc/self/fd/{self.fileno()}").readlink()
            _drop(self.fileno())
            if error.errno in _NO_READER or self.fileno() == _STDERR:
                return memoryview(content).nbytes
            raise StorageError(storage_problem(name, error)) from None


def _drop(handle: int) -> None:
    """Redirect ``handle`` to the null device: at exit Python would write the rest again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, handle)
    os.close(null)
