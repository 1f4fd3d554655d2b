"""What the system refuses to write, and where: the disk, the folder or the name at fault.

Usage:
    except OSError as error:
        raise StorageError(storage_problem(path, error, needed_bytes=len(content)))
"""

import errno
import os
from pathlib import Path

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_LEAST_FREE_BYTES = 2**16
_SHOWN_LETTERS = 40
_MOST_NAME_BYTES = 255
"""Of a file's name, on every file system that Linux is commonly installed on."""


def storage_problem(path: Path, error: OSError, needed_bytes: int | None = None) -> str:
    """One line: ``path``, what the system says, and the disk or folder at fault, to be mended.

    ``needed_bytes`` is the size of what did not fit, where it is known.
    """
    return f"{path}: {error.strerror or error}: {_remedy(path, error.errno, needed_bytes)}"


def mount_point(path: Path) -> Path:
    """Where the disk is mounted that holds ``path``, or would hold it."""
    place = Path(os.path.realpath(_nearest(path)))
    while not os.path.ismount(place):
        place = place.parent
    return place


def room(path: Path) -> str:
    """Where the disk of ``path`` is mounted, and in brackets what is left: bytes, or no files."""
    place = mount_point(path)
    found = os.statvfs(place)
    if found.f_files and not found.f_favail:
        return f"{place} (it can hold no more files)"
    return f"{place} ({found.f_bavail * found.f_frsize} bytes are left for you)"


def full_disks(places: list[Path]) -> list[Path]:
    """The mount points of those ``places`` whose disks have next to nothing left."""
    return sorted(
        {mount_point(place) for place in places if _free_bytes(place) < _LEAST_FREE_BYTES}
    )


def _remedy(path: Path, number: int | None, needed_bytes: int | None) -> str:
    if number in NO_SPACE:
        needed = "" if needed_bytes is None else f", {needed_bytes} were needed"
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
    found = os.statvfs(_nearest(path))
    return found.f_bavail * found.f_frsize


def _nearest(path: Path) -> Path:
    """``path``, or the nearest of the folders above it that is there."""
    for place in (path.absolute(), *path.absolute().parents):
        try:
            place.lstat()
        except OSError:
            continue
        return place
    return Path("/")


def _closed_folder(path: Path) -> Path:
    """The folder that lets nobody in, or in which nothing may be made."""
    above = list(reversed(path.absolute().parents))
    closed = (place for place in above if place.is_dir() and not os.access(place, os.X_OK))
    return next(closed, _nearest(path.absolute().parent))


def _long_name(path: Path) -> str:
    name = max(path.absolute().parts, key=lambda part: len(os.fsencode(part)))
    size = len(os.fsencode(name))
    if size <= _MOST_NAME_BYTES:
        return f"the path has {len(os.fsencode(path.absolute()))} bytes"
    return f"{name[:_SHOWN_LETTERS]}... has {size} bytes, of which {_MOST_NAME_BYTES} are allowed"
