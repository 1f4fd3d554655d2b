"""Folders of the suite's cache that hold code, or choices of it: only their user may write there.

Usage:
    folder = private_folder("cuda") / host       # OSError where there cannot be one

Each user has folders of their own, since several may share one BENCH_CACHE_DIR.
"""

import os
import stat
from pathlib import Path

from bench.datasets.places import cache

_PRIVATE = 0o700
_WRITTEN_BY_OTHERS = 0o022


def private_folder(kind: str) -> Path:
    """This user's folder of that kind in the suite's cache, made where it is missing.

    OSError, which names no path, where it belongs to somebody else, is a link, could be written by
    others, or cannot be written at all.
    """
    name = f"{kind}-{os.getuid()}"
    folder = (cache().folder.parent / name).absolute()
    try:
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise OSError(f"the cache's folder {name} cannot be made: {error.strerror}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(f"the cache's {name} is no folder")
    if found.st_uid != os.getuid():
        raise OSError(f"the cache's folder {name} belongs to another user")
    if found.st_mode & _WRITTEN_BY_OTHERS:
        raise OSError(f"others may write to the cache's folder {name}")
    folder.chmod(_PRIVATE)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(f"the cache's folder {name} cannot be written to")
    return folder
