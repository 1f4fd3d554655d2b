"""Make several files in a staging folder, then move them together to a folder that may be shared.

Usage:
    with staged_folder(Folder(Path("site"))) as new:
        new.files.write("index.html", b"...")
    new.written             # (Path("site/index.html"),)

Until all files are made, the folder keeps its old ones. Each is then replaced atomically. A kill
in between leaves a mix of old and new files, each complete, and running the same command again
finishes the work.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.files.folder import Folder, check_regular

_PREFIX = ".new-"
_RANDOM_BYTES = 8


@dataclass
class Staging:
    """The folder in which files are made, and their paths once they are moved."""

    files: Folder
    written: tuple[Path, ...] = ()


@contextlib.contextmanager
def staged_folder(out: Folder) -> Iterator[Staging]:
    """Make a folder whose files move to ``out`` when the block ends without an exception.

    Raises OSError of the disk. Raises UnsafeFileError, before any file is moved, if there is a
    link or a special file in the place of one.
    """
    out.make()
    name = f"{_PREFIX}{secrets.token_hex(_RANDOM_BYTES)}"
    staging = Staging(out / name)
    with contextlib.ExitStack() as stack:
        with out.handle() as folder:
            # Lock, so that no other process takes the new folder for a leftover.
            _lock(folder)
            _remove_leftovers(folder)
            staging.files.make()
            _lock(stack.enter_context(staging.files.handle()))
        try:
            yield staging
            staging.written = _move(staging.files, out)
        finally:
            with out.handle() as folder:
                shutil.rmtree(name, ignore_errors=True, dir_fd=folder)


def _lock(folder: int) -> None:
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(folder, fcntl.LOCK_EX)


def _move(source: Folder, target: Folder) -> tuple[Path, ...]:
    paths = sorted(_files(source), key=lambda path: path[-1] == "index.html")  # the page last
    for *inner, name in paths:
        there = Folder(target.root, (*target.inner, *inner))
        there.make()
        with there.handle() as new:
            check_regular(new, name)
    for *inner, name in paths:
        here, there = (Folder(f.root, (*f.inner, *inner)) for f in (source, target))
        with here.handle() as old, there.handle() as new:
            check_regular(new, name)
            os.rename(name, name, src_dir_fd=old, dst_dir_fd=new)
    return tuple(target.path.joinpath(*path) for path in paths)


def _files(folder: Folder, inner: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the path of each file below ``folder`` as names, its own files first."""
    with folder.handle() as handle, os.scandir(handle) as entries:
        items = sorted((e.is_dir(follow_symlinks=False), e.name) for e in entries)
    files = [(*inner, name) for is_dir, name in items if not is_dir]
    for is_dir, name in items:
        if is_dir:
            files += _files(folder / name, (*inner, name))
    return files


def _remove_leftovers(folder: int) -> None:
    """Remove the staging folders of killed processes; live processes hold a lock on theirs."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.name.startswith(_PREFIX) and e.is_dir()]
    for name in names:
        with contextlib.suppress(OSError):  # including BlockingIOError
            handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
            finally:
                os.close(handle)
