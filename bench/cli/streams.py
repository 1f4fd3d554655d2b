"""Standard input, output and error as a program needs them that ends with its own exit code.

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
_NOBODY_READS = frozenset({errno.EPIPE, errno.EIO, errno.EBADF, errno.ECONNRESET})
"""A closed pipe, a terminal that is gone, a stream that was never open for writing."""


def guard_streams() -> None:
    """Open what is closed of the three streams, and let no reader that leaves end the program.

    A file that is opened while one of them is closed would get its number, and whatever is printed
    would then be written into that file.
    """
    while (handle := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(handle, True)  # as those of a program are that has all three
    os.close(handle)
    sys.stdout = _guarded(sys.stdout, _STDOUT)
    sys.stderr = _guarded(sys.stderr, _STDERR)


def _guarded(stream: TextIO | None, handle: int) -> TextIO:
    """``stream``, which is None where it was closed, with a file beneath that is one of ours."""
    plain = stream if isinstance(stream, io.TextIOWrapper) else None
    unbuffered = plain.write_through if plain else False
    output = _Output(handle, "w", closefd=False)
    return io.TextIOWrapper(
        output if unbuffered else io.BufferedWriter(output),
        encoding=plain.encoding if plain else "utf-8",
        errors="replace",  # a letter that a terminal lacks ends nothing
        line_buffering=handle == _STDERR or os.isatty(handle),
        write_through=unbuffered,
    )


class _Output(io.FileIO):
    """Standard output or error. What nobody reads any more is dropped, and so is what follows."""

    def write(self, content: "ReadableBuffer", /) -> int:
        """How many bytes of ``content`` were taken. StorageError where stdout finds no room."""
        try:
            return super().write(content)
        except OSError as error:
            name = Path(f"/proc/self/fd/{self.fileno()}").readlink()
            _drop(self.fileno())
            if error.errno in _NOBODY_READS or self.fileno() == _STDERR:
                return memoryview(content).nbytes
            raise StorageError(storage_problem(name, error)) from None


def _drop(handle: int) -> None:
    """Write no more there: Python would try what is left once more as it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, handle)
    os.close(nowhere)
