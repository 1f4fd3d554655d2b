"""Write files atomically, and save records elsewhere if the disk is full.

Usage:
    with staged_file(folder, "trials.csv") as file:
        file.write(b"...")               # the name holds either the old bytes or all of the new
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
    """Turn an OSError of the disk into StorageError, with a remedy."""
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
    """Open a file that replaces ``name`` in ``folder`` when the block ends without an exception.

    Raises StorageError if the disk is full, if the folder is not writable, or if ``name`` is a link
    or a special file.
    """
    with disk_errors(folder.path / name), folder.replacing(name) as file:
        yield file


def write_atomically(folder: Folder, name: str, text: str) -> Path:
    """Replace the text of ``name`` in ``folder``, and sync it to disk.

    Returns its path. Raises StorageError like ``staged_file``.
    """
    content = text.encode(errors="backslashreplace")
    with disk_errors(folder.path / name, len(content)):
        return folder.write(name, content)


def make_folder(folder: Folder) -> None:
    """Make ``folder`` if it is missing; StorageError if it is not a folder or cannot be made."""
    with disk_errors(folder.path):
        folder.make()


@contextlib.contextmanager
def staged_files(out: Folder) -> Iterator[Staging]:
    """Open a folder whose files move to ``out`` together; StorageError like ``staged_file``."""
    with disk_errors(out.path), staged_folder(out) as staging:
        yield staging


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that exists only within the block; StorageError if there is no space."""
    with _temporary_errors():
        folder = tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
    with folder as name:
        yield Path(name)


def temporary_file() -> IO[bytes]:
    """Open a nameless file, which disappears when closed; StorageError if there is no space."""
    with _temporary_errors():
        return tempfile.TemporaryFile()


@contextlib.contextmanager
def _temporary_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        folder = os.environ.get("TMPDIR") or "/tmp"
        raise StorageError(
            f"cannot write to the temporary folder {folder} ({error.strerror}): "
            "free space there, or name a writable folder in TMPDIR"
        ) from None


def rescue(path: Path, text: str) -> str:
    """Save the text that did not fit at ``path`` elsewhere; return where, or the text itself."""
    for folder in (tempfile.gettempdir, lambda: "/dev/shm", Path.home):
        with contextlib.suppress(OSError, RuntimeError, StorageError):
            private = Folder(Path(tempfile.mkdtemp(prefix="bench-", dir=folder())))
            saved = write_atomically(private, path.name, text)
            then = f"move its record to {path.parent} then, and continue with --resume"
            return f"{then}; it was kept: {saved}"
    return f"its record could be kept nowhere: {text}"
