"""A folder replaced by a new one, so that an end at any instant loses neither of the two.

Usage:
    with replacement(Path("results/published"), "quick") as fresh:     # a path to fill
        (fresh / "run.json").write_text("{}")
    # results/published/quick is now what was filled

The new folder is made in ``.replacing/new`` beside the old one, and the two are exchanged in one
step where the file system can do that. Elsewhere the old one is moved to ``.replacing/old`` first:
``recover`` moves it back where a kill came before the new one had taken its place. Where no rename
moves it either, as overlayfs moves no folder of a lower layer, the whole of it is copied there
before it is removed. What a killed process has left is removed by the next ``replacement``.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.errors import ResourceError
from bench.files.folder import Folder
from bench.files.folder_copy import copy_folder

_JOURNAL = ".replacing"
_RENAME_EXCHANGE = 2  # of linux/fs.h
_PARTS = ("new", "old", "copy")
_NOT_HERE = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EXDEV})


@contextlib.contextmanager
def replacement(place: Path, name: str) -> Iterator[Path]:
    """A new folder that takes the place of ``place/name``, if there is one, once all went well.

    Whatever ends the block, ``place/name`` is afterwards the old folder, or all of the new one.
    ResourceError where another process replaces a folder of ``place``; OSError of the disk.
    """
    with _locked(place) as handle:
        _recover(place, handle)
        journal = Folder(place) / _JOURNAL
        for part in _PARTS:
            (journal / part).make()
        try:
            fresh = (journal / "new" / name).path
            fresh.mkdir()
            yield fresh
            with _parts(journal) as (new, old, copy):
                _take_place(handle, name, new, old, copy)
            os.fsync(handle)
        finally:
            _recover(place, handle)


def recover(place: Path) -> None:
    """Bring back or remove what a killed ``replacement`` has left in ``place``.

    Nothing is done where another process is at work there, or where nobody may write.
    """
    with contextlib.suppress(OSError, ResourceError), _locked(place) as handle:
        _recover(place, handle)


def _take_place(place: int, name: str, new: int, old: int, copy: int) -> None:
    """Put ``new/name`` in the place of ``place/name``; the old one stays in ``new`` or ``old``."""
    if _is_there(place, name) and _exchanged(place, new, name):
        return
    if _is_there(place, name) and not _moved(place, name, old):
        _move_copy(place, name, old, copy)
        # From here on ``old`` has all of it, so ``_recover`` heeds no rest of it in ``place``.
        shutil.rmtree(name, dir_fd=place)
    os.rename(name, name, src_dir_fd=new, dst_dir_fd=place)


def _moved(source: int, name: str, target: int) -> bool:
    """Whether ``name`` was renamed from one folder to the other; False where only a copy can be."""
    try:
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _move_copy(source: int, name: str, target: int, copy: int) -> None:
    """Put a copy of ``source/name`` into ``target``: all of it at once, and on the disk."""
    if _is_there(copy, name):
        shutil.rmtree(name, dir_fd=copy)
    copy_folder(source, name, copy)
    os.rename(name, name, src_dir_fd=copy, dst_dir_fd=target)
    os.fsync(target)


def _exchanged(place: int, new: int, name: str) -> bool:
    """Whether ``name`` in the two folders was exchanged; False where the system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    word = os.fsencode(name)
    if renameat2(new, word, place, word, _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_HERE:
        return False
    raise OSError(number, os.strerror(number), name)


def _recover(place: Path, handle: int) -> None:
    """Move back what has no successor, and remove the journal."""
    if not _is_there(handle, _JOURNAL):
        return
    journal = Folder(place) / _JOURNAL
    with contextlib.suppress(FileNotFoundError):
        _move_back(journal, handle)
    # Renamed first: half removed, it must not be taken for a folder to be moved back.
    with journal.handle() as opened:
        try:
            os.rename("old", "new/removed", src_dir_fd=opened, dst_dir_fd=opened)
        except OSError:
            shutil.rmtree("new", ignore_errors=True, dir_fd=opened)
    shutil.rmtree(_JOURNAL, ignore_errors=True, dir_fd=handle)


def _move_back(journal: Folder, place: int) -> None:
    """Move back to ``place`` what was moved to ``old``, and its successor is not there.

    Where a successor still waits in ``new``, a folder in its place is the rest of one of which
    ``old`` has all.
    """
    with (journal / "old").handle() as old, os.scandir(old) as entries:
        names = [entry.name for entry in entries]
    if not names:
        return
    for part in _PARTS:  # one of before there was a "copy"
        (journal / part).make()
    with _parts(journal) as (new, old, copy):
        for name in names:
            if _is_there(place, name):
                if not _is_there(new, name):
                    continue
                shutil.rmtree(name, dir_fd=place)
            if not _moved(old, name, place):
                _move_copy(old, name, place, copy)


@contextlib.contextmanager
def _parts(journal: Folder) -> Iterator[tuple[int, int, int]]:
    """The handles of ``new``, ``old`` and ``copy`` in it."""
    new, old, copy = ((journal / part).handle() for part in _PARTS)
    with new as first, old as second, copy as third:
        yield first, second, third


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[int]:
    """The handle of ``place``, locked for this process until the block or the process ends."""
    with Folder(place).handle() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ResourceError(
                f"{place}: another process is publishing there: wait for it to end"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield handle


def _is_there(folder: int, name: str) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True
