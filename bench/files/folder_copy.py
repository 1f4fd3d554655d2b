"""A folder copied through handles, down to the disk: what no rename can move is moved so.

Usage:
    copy_folder(source, "quick", target)     # handles of the folders that it is in, and goes to
"""

import contextlib
import os
import shutil
import stat
import sys
from collections.abc import Iterator

from bench.files.reading import open_at

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_folder(source: int, name: str, target: int) -> None:
    """Copy the folder ``name`` from ``source`` to ``target``, where there is none of that name.

    Links are copied as links. OSError of the disk; UnsafeFileError where there is a special file.
    """
    os.mkdir(name, dir_fd=target)
    with _opened(source, name) as there, _opened(target, name) as here:
        with os.scandir(there) as entries:
            found = [(entry.name, entry.stat(follow_symlinks=False).st_mode) for entry in entries]
        for inner, mode in found:
            if stat.S_ISDIR(mode):
                copy_folder(there, inner, here)
            elif stat.S_ISLNK(mode):
                os.symlink(os.readlink(inner, dir_fd=there), inner, dir_fd=here)
            else:
                _copy_file(there, inner, here, stat.S_IMODE(mode))
        os.fsync(here)


def _copy_file(source: int, name: str, target: int, mode: int) -> None:
    with (
        open_at(source, name, sys.maxsize) as file,
        os.fdopen(os.open(name, _NEW, mode, dir_fd=target), "wb") as copy,
    ):
        shutil.copyfileobj(file, copy)
        copy.flush()
        os.fsync(copy.fileno())


@contextlib.contextmanager
def _opened(above: int, name: str) -> Iterator[int]:
    handle = os.open(name, _FOLDER, dir_fd=above)
    try:
        yield handle
    finally:
        os.close(handle)
