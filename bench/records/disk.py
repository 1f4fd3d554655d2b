"""Writing so that nothing measured is lost: aside and renamed, or kept elsewhere.

Usage:
    with aside(path) as temporary:
        temporary.write_text("...")      # path holds the old text, or all of the new
"""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.errors import StorageError

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
    except OSError as error:
        cure = _CURES.get(error.errno or 0, "choose another --out")
        raise StorageError(f"{path}: {error.strerror or error}: {cure}") from None


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A path to write to in the place of ``path``, which it replaces once all went well.

    Raises StorageError where the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with disk_errors(path):
        try:
            yield temporary
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def write_aside(path: Path, text: str) -> None:
    """Replace the text of ``path``, which is on the disk itself when this returns."""
    with (
        aside(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace") as file,
    ):
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def rescue(path: Path, text: str) -> str:
    """Keep what ``path`` had no room for elsewhere, and say where; else the text itself."""
    for folder in (tempfile.gettempdir, lambda: "/dev/shm", Path.home):
        with contextlib.suppress(OSError, RuntimeError, StorageError):
            place = Path(tempfile.mkdtemp(prefix="bench-", dir=folder())) / path.name
            write_aside(place, text)
            then = f"move its record to {path.parent} then, and go on with --resume"
            return f"{then}; it was kept: {place}"
    return f"its record could be kept nowhere: {text}"
