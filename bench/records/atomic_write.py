"""Writing so that nothing measured is lost: aside and renamed, or kept elsewhere.

Usage:
    with staged_file(folder, "trials.csv") as file:
        file.write(b"...")               # the name holds the old bytes, or all of the new
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from bench.errors import StorageError
from bench.files.bounded_reading import UnsafeFileError
from bench.files.disk_space import storage_problem
from bench.files.folder import Folder
from bench.files.staging import Staging, staged_folder


@contextlib.contextmanager
def disk_errors(path: Path, needed_bytes: int | None = None) -> Iterator[None]:
    """Turn what the system says of the disk into StorageError, with what to do about it."""
    try:
        yield
    except UnsafeFileError as error:
        raise StorageError(
            f"{path}: {error.strerror}: remove it, or choose another folder"
        ) from None
    except OSError as error:
        raise StorageError(storage_problem(path, error, needed_bytes)) from None


@contextlib.contextmanager
def staged_file(folder: Folder, name: str) -> Iterator[BinaryIO]:
    """A file to write to, which replaces ``name`` in ``folder`` once all went well.

    Raises StorageError where the disk is full or the folder cannot be written, and where there
    is a link or a special file in that place.
    """
    with disk_errors(folder.path / name), folder.replacing(name) as file:
        yield file


def write_atomically(folder: Folder, name: str, text: str) -> Path:
    """Replace the text of ``name`` in ``folder``, which is on the disk itself when this returns.

    Returns its path; raises StorageError as ``staged_file`` does.
    """
    content = text.encode(errors="backslashreplace")
    with disk_errors(folder.path / name, len(content)):
        return folder.write(name, content)


def make_folder(folder: Folder) -> None:
    """Make ``folder`` where it is missing; StorageError where it is none or cannot be made."""
    with disk_errors(folder.path):
        folder.make()


@contextlib.contextmanager
def files_staged(out: Folder) -> Iterator[Staging]:
    """A folder to write to, whose files go to ``out`` together; StorageError as ``staged_file``."""
    with disk_errors(out.path), staged_folder(out) as new:
        yield new


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for the block alone; StorageError where there is no room for it."""
    with _temporary_errors():
        made = tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
    with made as name:
        yield Path(name)


def temporary_file() -> IO[bytes]:
    """A file without a name, gone once it is closed; StorageError where there is no room for it."""
    with _temporary_errors():
        return tempfile.TemporaryFile()


@contextlib.contextmanager
def _temporary_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        tried = os.environ.get("TMPDIR") or "/tmp"
        raise StorageError(
            f"nothing can be put into the temporary folder {tried} ({error.strerror}): "
            "free space there, or name a writable folder in TMPDIR"
        ) from None


def rescue(path: Path, text: str) -> str:
    """Keep what ``path`` had no room for elsewhere, and say where; else the text itself."""
    for place in (tempfile.gettempdir, lambda: "/dev/shm", Path.home):
        with contextlib.suppress(OSError, RuntimeError, StorageError):
            private = Folder(Path(tempfile.mkdtemp(prefix="bench-", dir=place())))
            kept = write_atomically(private, path.name, text)
            then = f"move its record to {path.parent} then, and go on with --resume"
            return f"{then}; it was kept: {kept}"
    return f"its record could be kept nowhere: {text}"
