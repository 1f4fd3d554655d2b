"""Writing so that nothing measured is lost: aside and renamed, or kept elsewhere.

Usage:
    with aside(folder, "trials.csv") as file:
        file.write(b"...")               # the name holds the old bytes, or all of the new
"""

import contextlib
import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bench.errors import StorageError
from bench.files.folder import Folder
from bench.files.reading import UnsafeFileError

_CURES = {
    errno.ENOSPC: "free space on that disk",
    errno.EDQUOT: "free space on that disk",
    errno.EACCES: "make the folder writable, or choose another --out",
    errno.EPERM: "make the folder writable, or choose another --out",
    errno.EROFS: "make the disk writable, or choose another --out",
}


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the system says of the disk into StorageError, with what to do about it."""
    try:
        yield
    except UnsafeFileError as error:
        raise StorageError(
            f"{path}: {error.strerror}: remove it, or choose another --out"
        ) from None
    except OSError as error:
        cure = _CURES.get(error.errno or 0, "choose another --out")
        raise StorageError(f"{path}: {error.strerror or error}: {cure}") from None


@contextlib.contextmanager
def aside(folder: Folder, name: str) -> Iterator[BinaryIO]:
    """A file to write to, which replaces ``name`` in ``folder`` once all went well.

    Raises StorageError where the disk is full or the folder cannot be written, and where there
    is a link or a special file in that place.
    """
    with disk_errors(folder.path / name), folder.replacing(name) as file:
        yield file


def write_aside(folder: Folder, name: str, text: str) -> Path:
    """Replace the text of ``name`` in ``folder``, which is on the disk itself when this returns.

    Returns its path; raises StorageError as ``aside`` does.
    """
    with disk_errors(folder.path / name):
        return folder.write(name, text.encode())


def make_folder(folder: Folder) -> None:
    """Make ``folder`` where it is missing; StorageError where it is none or cannot be made."""
    with disk_errors(folder.path):
        folder.make()


def rescue(path: Path, text: str) -> str:
    """Keep what ``path`` had no room for elsewhere, and say where; else the text itself."""
    for place in (tempfile.gettempdir, lambda: "/dev/shm", Path.home):
        with contextlib.suppress(OSError, RuntimeError, StorageError):
            private = Folder(Path(tempfile.mkdtemp(prefix="bench-", dir=place())))
            kept = write_aside(private, path.name, text)
            then = f"move its record to {path.parent} then, and go on with --resume"
            return f"{then}; it was kept: {kept}"
    return f"its record could be kept nowhere: {text}"
