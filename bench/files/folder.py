"""Read and write a folder that may come from a stranger, through handles and without links.

Usage:
    folder = Folder(Path("results/runs/quick-1"))      # this path may itself be a link
    folder.read("run.json", most_bytes=MiB)
    report = folder / "report"
    report.make()
    report.write("summary.md", b"...")                  # atomic: the old content or the new

Each folder below the root is opened from the handle of its parent. Links, pipes, devices and
sockets are refused. Paths are not used, because each call would resolve them again, and they could
lead elsewhere by then.
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
    """The folder ``root``, which the user named, or a folder inside it."""

    root: Path
    inner: tuple[str, ...] = ()
    """The names that lead from ``root`` to it."""

    def __truediv__(self, name: str) -> "Folder":
        if name in ("", ".", "..") or "/" in name:
            raise ValueError(f"{name!r} is not the name of a folder in another")
        return Folder(self.root, (*self.inner, name))

    @property
    def path(self) -> Path:
        """The path, for messages; it may lead elsewhere by the time it is used."""
        return self.root.joinpath(*self.inner)

    def make(self, mode: int = 0o777) -> None:
        """Make the folder and its parents where missing; those below the root get ``mode``."""
        self.root.mkdir(parents=True, exist_ok=True)
        with self._open(mode):
            pass

    @contextlib.contextmanager
    def handle(self) -> Iterator[int]:
        """Open a handle for ``dir_fd`` and ``read_at`` within the block."""
        with self._open() as handle:
            yield handle

    def read(self, name: str, most_bytes: int) -> bytes:
        """Read the file ``name`` in it; raises the errors of ``read_file``."""
        with self.handle() as handle:
            return read_at(handle, name, most_bytes)

    @contextlib.contextmanager
    def reader(self, name: str, most_bytes: int) -> Iterator[BinaryIO]:
        """Open the file ``name`` to read it in parts; raises the errors of ``read_file``."""
        with self.handle() as handle, open_at(handle, name, most_bytes) as file:
            yield file

    def write(self, name: str, content: bytes) -> Path:
        """Replace the file ``name`` by ``content``; it is on disk when this returns."""
        with self.replacing(name, durable=True) as file:
            file.write(content)
        return self.path / name

    @contextlib.contextmanager
    def replacing(self, name: str, *, durable: bool = False) -> Iterator[BinaryIO]:
        """Open a file that replaces ``name`` when the block ends without an exception.

        If ``durable``, the new file then survives a loss of power. Raises UnsafeFileError if
        ``name`` is a link or a special file, and any other OSError that ``open`` raises.
        """
        with self.handle() as handle:
            check_regular(handle, name)
            temporary = f".{name}.{secrets.token_hex(_RANDOM_BYTES)}"
            try:
                with os.fdopen(os.open(temporary, _NEW, 0o666, dir_fd=handle), "wb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(temporary, name, src_dir_fd=handle, dst_dir_fd=handle)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=handle)
                raise
            if durable:
                _sync(handle)

    @contextlib.contextmanager
    def _open(self, mode: int | None = None) -> Iterator[int]:
        """Open a handle; with ``mode``, make the folders that are missing below the root."""
        handle = os.open(self.root, _FLAGS)
        try:
            for name in self.inner:
                above, handle = handle, _open_child(handle, name, mode)
                os.close(above)
            yield handle
        finally:
            os.close(handle)


def _open_child(above: int, name: str, mode: int | None) -> int:
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


def check_regular(folder: int, name: str) -> None:
    """Raise UnsafeFileError if ``name`` exists in an open ``folder`` and is not a regular file."""
    with contextlib.suppress(FileNotFoundError):
        mode = os.lstat(name, dir_fd=folder).st_mode
        if not stat.S_ISREG(mode):
            raise refusal(mode)


def _sync(folder: int) -> None:
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (
            errno.EINVAL,
            errno.ENOTSUP,
        ):  # some network file systems cannot sync
            raise
