"""Files made aside and moved to a folder together, which others may have put files into as well.

Usage:
    with staged_folder(Folder(Path("site"))) as new:
        new.files.write("index.html", b"...")
    new.written             # (Path("site/index.html"),)

Until all are made, the folder has its old files. Each is then replaced in one step; a kill
meanwhile leaves some old and some new ones, all whole, and the same command called again ends the
work.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.files.folder import Folder, check_place

_PREFIX = ".new-"
_RANDOM_BYTES = 8


@dataclass
class Staging:
    """Where files are made, and where they are once they were moved."""

    files: Folder
    written: tuple[Path, ...] = ()


@contextlib.contextmanager
def staged_folder(out: Folder) -> Iterator[Staging]:
    """A folder to write to, whose files are moved to ``out`` once all went well.

    OSError of the disk; UnsafeFileError where there is a link or a special file in the place of
    one of them: then none was moved.
    """
    out.make()
    name = f"{_PREFIX}{secrets.token_hex(_RANDOM_BYTES)}"
    staging = Staging(out / name)
    with contextlib.ExitStack() as held:
        with out.handle() as folder:
            # Nobody is to take what is just being made for a leftover.
            _lock(folder)
            _remove_leftovers(folder)
            staging.files.make()
            _lock(held.enter_context(staging.files.handle()))
        try:
            yield staging
            staging.written = _moved(staging.files, out)
        finally:
            with out.handle() as folder:
                shutil.rmtree(name, ignore_errors=True, dir_fd=folder)


def _lock(folder: int) -> None:
    with contextlib.suppress(OSError):  # of a file system without locks
        fcntl.flock(folder, fcntl.LOCK_EX)


def _moved(source: Folder, target: Folder) -> tuple[Path, ...]:
    found = sorted(_files(source), key=lambda one: one[-1] == "index.html")  # the page last
    for *inner, name in found:
        there = Folder(target.root, (*target.inner, *inner))
        there.make()
        with there.handle() as new:
            check_place(new, name)
    for *inner, name in found:
        here, there = (Folder(f.root, (*f.inner, *inner)) for f in (source, target))
        with here.handle() as old, there.handle() as new:
            check_place(new, name)
            os.rename(name, name, src_dir_fd=old, dst_dir_fd=new)
    return tuple(target.path.joinpath(*words) for words in found)


def _files(folder: Folder, inner: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The names that lead to each file below ``folder``, its own files first."""
    with folder.handle() as handle, os.scandir(handle) as entries:
        found = sorted((e.is_dir(follow_symlinks=False), e.name) for e in entries)
    files = [(*inner, name) for is_dir, name in found if not is_dir]
    for is_dir, name in found:
        if is_dir:
            files += _files(folder / name, (*inner, name))
    return files


def _remove_leftovers(folder: int) -> None:
    """Remove what killed processes have left: those that live hold a lock on theirs."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.name.startswith(_PREFIX) and e.is_dir()]
    for name in names:
        with contextlib.suppress(OSError):  # BlockingIOError among them
            handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
            finally:
                os.close(handle)
