"""A folder that may come from a stranger: read and written through handles, no link followed.

Usage:
    folder = Folder(Path("results/runs/quick-1"))      # this path itself may be a link
    folder.read("run.json", most_bytes=MiB)
    report = folder / "report"
    report.make()
    report.write("summary.md", b"...")                  # the old content, or all of the new

Each folder below the root is opened from the handle of the one above it, and a link there is
refused, as a pipe, a device or a socket is. A path would be looked up anew by each call, and
could lead elsewhere by then.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bench.files.bounded_reading import UnsafeFileError, open_at, read_at, refusal

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_RANDOM_BYTES = 8


@dataclass(frozen=True)
class Folder:
    """The folder ``root``, which the user named, or one inside it."""

    root: Path
    inner: tuple[str, ...] = ()
    """The names that lead from ``root`` to it."""

    def __truediv__(self, name: str) -> "Folder":
        if name in ("", ".", "..") or "/" in name:
            raise ValueError(f"{name!r} is not the name of a folder in another")
        return Folder(self.root, (*self.inner, name))

    @property
    def path(self) -> Path:
        """Where it is, for people; a path may lead elsewhere by the time it is used."""
        return self.root.joinpath(*self.inner)

    def make(self, mode: int = 0o777) -> None:
        """Make it, and what it stands in, where they are missing; those inside get ``mode``."""
        self.root.mkdir(parents=True, exist_ok=True)
        with self._opened(mode):
            pass

    @contextlib.contextmanager
    def handle(self) -> Iterator[int]:
        """Its handle, for ``dir_fd`` and for ``read_at``, within the block."""
        with self._opened() as handle:
            yield handle

    def read(self, name: str, most_bytes: int) -> bytes:
        """The bytes of the file ``name`` in it; errors of ``read_file``."""
        with self.handle() as handle:
            return read_at(handle, name, most_bytes)

    @contextlib.contextmanager
    def reader(self, name: str, most_bytes: int) -> Iterator[BinaryIO]:
        """The file ``name`` in it, open to be read in parts; errors of ``read_file``."""
        with self.handle() as handle, open_at(handle, name, most_bytes) as file:
            yield file

    def write(self, name: str, content: bytes) -> Path:
        """Replace the file ``name`` by ``content``, which is on the disk when this returns."""
        with self.replacing(name, durable=True) as file:
            file.write(content)
        return self.path / name

    @contextlib.contextmanager
    def replacing(self, name: str, *, durable: bool = False) -> Iterator[BinaryIO]:
        """A file to write to, which takes the place of ``name`` once all went well.

        Where it is ``durable``, it then outlasts a loss of power. UnsafeFileError where there is
        a link or a special file in that place; any other OSError as ``open`` does.
        """
        with self.handle() as handle:
            check_place(handle, name)
            fresh = f".{name}.{secrets.token_hex(_RANDOM_BYTES)}"
            try:
                with os.fdopen(os.open(fresh, _NEW, 0o666, dir_fd=handle), "wb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(fresh, name, src_dir_fd=handle, dst_dir_fd=handle)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(fresh, dir_fd=handle)
                raise
            if durable:
                _sync(handle)

    @contextlib.contextmanager
    def _opened(self, mode: int | None = None) -> Iterator[int]:
        """Its handle; with ``mode``, what is missing below the root is made."""
        handle = os.open(self.root, _FLAGS)
        try:
            for name in self.inner:
                above, handle = handle, _below(handle, name, mode)
                os.close(above)
            yield handle
        finally:
            os.close(handle)


def _below(above: int, name: str, mode: int | None) -> int:
    if mode is not None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=above)
    try:
        return os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=above)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        link = stat.S_ISLNK(os.lstat(name, dir_fd=above).st_mode)
        what = "symbolic link" if link else "file"
        raise UnsafeFileError(f"{name} is a {what}, not a folder") from None


def check_place(folder: int, name: str) -> None:
    """UnsafeFileError where ``name`` in an open ``folder`` is there, and is no regular file."""
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(name, dir_fd=folder)
        if not stat.S_ISREG(found.st_mode):
            raise refusal(found.st_mode)


def _sync(folder: int) -> None:
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # as some network file systems say
            raise
