"""Explain why the system cannot write a file: which disk, folder or name is at fault.

Usage:
    except OSError as error:
        raise StorageError(storage_problem(path, error, needed_bytes=len(content)))
"""

import errno
import os
from pathlib import Path

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_MIN_FREE_BYTES = 2**16
_SHOWN_LETTERS = 40
_MAX_NAME_BYTES = 255
"""Longest file name on the usual file systems of Linux."""


def storage_problem(path: Path, error: OSError, needed_bytes: int | None = None) -> str:
    """Return one line with ``path``, the system's message, and a remedy for the disk or folder.

    ``needed_bytes`` is the size of what did not fit, if known.
    """
    return f"{path}: {error.strerror or error}: {_remedy(path, error.errno, needed_bytes)}"


def mount_point(path: Path) -> Path:
    """Return the mount point of the disk that holds, or would hold, ``path``."""
    folder = Path(os.path.realpath(_nearest(path)))
    while not os.path.ismount(folder):
        folder = folder.parent
    return folder


def room(path: Path) -> str:
    """Return the mount point of the disk of ``path``, and in brackets the free space."""
    disk = mount_point(path)
    status = os.statvfs(disk)
    if status.f_files and not status.f_favail:
        return f"{disk} (it can hold no more files)"
    return f"{disk} ({status.f_bavail * status.f_frsize} bytes free)"


def full_disks(paths: list[Path]) -> list[Path]:
    """Return the mount points of those ``paths`` whose disks are almost full."""
    return sorted({mount_point(path) for path in paths if _free_bytes(path) < _MIN_FREE_BYTES})


def _remedy(path: Path, number: int | None, needed_bytes: int | None) -> str:
    if number in NO_SPACE:
        needed = "" if needed_bytes is None else f", {needed_bytes} needed"
        return f"free space on the disk at {room(path)[:-1]}{needed})"
    if number == errno.EROFS:
        return f"make the disk at {mount_point(path)} writable, or choose another folder"
    if number in (errno.EACCES, errno.EPERM):
        return f"make the folder {_closed_folder(path)} writable, or choose another"
    if number in (errno.ENOTDIR, errno.EEXIST):
        return f"{_nearest(path)} is not a folder: choose another"
    if number == errno.ENAMETOOLONG:
        return f"{_long_name(path)}: choose a shorter name"
    return "choose another folder"


def _free_bytes(path: Path) -> int:
    status = os.statvfs(_nearest(path))
    return status.f_bavail * status.f_frsize


def _nearest(path: Path) -> Path:
    """Return ``path``, or the nearest folder above it that exists."""
    for candidate in (path.absolute(), *path.absolute().parents):
        try:
            candidate.lstat()
        except OSError:
            continue
        return candidate
    return Path("/")


def _closed_folder(path: Path) -> Path:
    """Return the folder that cannot be entered, or in which nothing can be made."""
    above = list(reversed(path.absolute().parents))
    closed = (each for each in above if each.is_dir() and not os.access(each, os.X_OK))
    return next(closed, _nearest(path.absolute().parent))


def _long_name(path: Path) -> str:
    name = max(path.absolute().parts, key=lambda part: len(os.fsencode(part)))
    size = len(os.fsencode(name))
    if size <= _MAX_NAME_BYTES:
        return f"the path has {len(os.fsencode(path.absolute()))} bytes"
    return f"{name[:_SHOWN_LETTERS]}... has {size} bytes; the limit is {_MAX_NAME_BYTES}"
