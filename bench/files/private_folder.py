"""Make cache folders that only their user can write to.

Usage:
    folder = private_folder("cuda") / host       # OSError if it cannot be made

They hold data that is used without further checks: compiled code, kernel choices, training
examples, cached records. Each user has separate folders, because several users may share one
BENCH_CACHE_DIR.
"""

import os
import stat
import tempfile
from pathlib import Path

from bench.files.user_path import user_path

_PRIVATE = 0o700
_WRITABLE_BY_OTHERS = 0o022
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def cache_root() -> Path:
    """Return the cache folder: ``BENCH_CACHE_DIR``, or trainbench in the XDG cache folder."""
    configured = os.environ.get("BENCH_CACHE_DIR")
    xdg = os.environ.get("XDG_CACHE_HOME")
    base = (
        Path(configured)
        if configured
        else (Path(xdg) if xdg else user_home() / ".cache") / "trainbench"
    )
    return user_path(base)


def user_home() -> Path:
    """Return the user's home folder, or the temporary folder if there is none (in a container)."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir())


def private_path(kind: str) -> Path:
    """Return the path of this user's folder of that kind, which may not exist yet."""
    return (cache_root() / f"{kind}-{os.getuid()}").absolute()


def private_folder(kind: str) -> Path:
    """Return this user's cache folder of that kind, and make it if it is missing.

    Raises OSError, with a message that names no path, if the folder belongs to another user, is a
    link, can be written or replaced by others, or is not writable.
    """
    folder = private_path(kind)
    name = folder.name
    try:
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        handle = os.open(folder, _FLAGS)
    except (FileExistsError, NotADirectoryError):
        raise OSError(f"the cache's {name} is not a folder") from None
    except OSError as error:
        raise OSError(f"the cache's folder {name} cannot be made: {error.strerror}") from None
    try:
        _check(handle, name)
        os.fchmod(handle, _PRIVATE)
    finally:
        os.close(handle)
    if _replaceable(folder.parent.stat()):
        raise OSError(f"others may replace the cache's folder {name}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(f"the cache's folder {name} cannot be written to")
    return folder


def _check(handle: int, name: str) -> None:
    status = os.fstat(handle)
    if status.st_uid != os.getuid():
        raise OSError(f"the cache's folder {name} belongs to another user")
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise OSError(f"others may write to the cache's folder {name}")


def _replaceable(parent: os.stat_result) -> bool:
    """Return whether a stranger could replace a folder inside ``parent``.

    The owner of a folder that the user has configured is trusted.
    """
    owners = (0, os.getuid(), parent.st_uid if os.environ.get("BENCH_CACHE_DIR") else 0)
    world_writable = parent.st_mode & stat.S_IWOTH and not parent.st_mode & stat.S_ISVTX
    return bool(world_writable) or parent.st_uid not in owners
