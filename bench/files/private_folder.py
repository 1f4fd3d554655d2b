"""Folders of the suite's cache that only their user may write to.

Usage:
    folder = private_folder("cuda") / host       # OSError where there cannot be one

They hold what is used without being compared with anything else: code, choices of it, training
examples, what was read of records. Each user has folders of their own, since several may share
one BENCH_CACHE_DIR.
"""

import os
import stat
import tempfile
from pathlib import Path

from bench.files.user_path import user_path

_PRIVATE = 0o700
_WRITTEN_BY_OTHERS = 0o022
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def cache_root() -> Path:
    """The suite's cache: ``BENCH_CACHE_DIR``, else trainbench under the XDG cache folder."""
    own = os.environ.get("BENCH_CACHE_DIR")
    xdg = os.environ.get("XDG_CACHE_HOME")
    base = Path(own) if own else (Path(xdg) if xdg else user_home() / ".cache") / "trainbench"
    return user_path(base)


def user_home() -> Path:
    """The user's folder; of one without, as in a container, the system's for temporary files."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir())


def private_path(kind: str) -> Path:
    """Where this user's folder of that kind is, or would be."""
    return (cache_root() / f"{kind}-{os.getuid()}").absolute()


def private_folder(kind: str) -> Path:
    """This user's folder of that kind in the suite's cache, made where it is missing.

    OSError, which names no path, where it belongs to somebody else, is a link, could be written
    or replaced by others, or cannot be written at all.
    """
    folder = private_path(kind)
    name = folder.name
    try:
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        handle = os.open(folder, _FLAGS)
    except (FileExistsError, NotADirectoryError):
        raise OSError(f"the cache's {name} is no folder") from None
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
    found = os.fstat(handle)
    if found.st_uid != os.getuid():
        raise OSError(f"the cache's folder {name} belongs to another user")
    if found.st_mode & _WRITTEN_BY_OTHERS:
        raise OSError(f"others may write to the cache's folder {name}")


def _replaceable(around: os.stat_result) -> bool:
    """Whether a stranger may put another folder in the place of one that is in this one.

    Whoever owns a folder that the user has named is no stranger.
    """
    owners = (0, os.getuid(), around.st_uid if os.environ.get("BENCH_CACHE_DIR") else 0)
    for_all = around.st_mode & stat.S_IWOTH and not around.st_mode & stat.S_ISVTX
    return bool(for_all) or around.st_uid not in owners
