"""Replace a folder by a new one without losing either if the process is killed.

Usage:
    with replaced_folder(Path("results/published"), "quick") as new_folder:     # a path to fill
        (new_folder / "run.json").write_text("{}")
    # results/published/quick is now the new folder

The new folder is made in ``.replacing/new`` beside the old one, and the two are exchanged in one
step if the file system can do that. Otherwise the old folder is first moved to ``.replacing/old``,
and ``recover_folder`` moves it back if the process is killed before the new one is in place. If a
rename cannot move it either (overlayfs cannot move folders of a lower layer), the old folder is
copied there completely before it is removed. The next ``replaced_folder`` removes what a killed
process has left.
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
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EXDEV})


@contextlib.contextmanager
def replaced_folder(parent: Path, name: str) -> Iterator[Path]:
    """Make a folder that replaces ``parent/name`` when the block ends without an exception.

    However the block ends, ``parent/name`` is then the old folder or the complete new one. Raises
    ResourceError if another process is replacing a folder in ``parent``, and OSError of the disk.
    """
    with _lock(parent) as handle:
        _recover(parent, handle)
        journal = Folder(parent) / _JOURNAL
        for part in _PARTS:
            (journal / part).make()
        try:
            new_folder = (journal / "new" / name).path
            new_folder.mkdir()
            yield new_folder
            with _parts(journal) as (new, old, copy):
                _put_in_place(handle, name, new, old, copy)
            os.fsync(handle)
        finally:
            _recover(parent, handle)


def recover_folder(parent: Path) -> None:
    """Restore or remove what a killed ``replaced_folder`` has left in ``parent``.

    Does nothing if another process works there or if ``parent`` is not writable.
    """
    with contextlib.suppress(OSError, ResourceError), _lock(parent) as handle:
        _recover(parent, handle)


def _put_in_place(parent: int, name: str, new: int, old: int, copy: int) -> None:
    """Put ``new/name`` in the place of ``parent/name``; the old one stays in ``new`` or ``old``."""
    if _exists(parent, name) and _exchange(parent, new, name):
        return
    if _exists(parent, name) and not _rename(parent, name, old):
        _move_copy(parent, name, old, copy)
        # Now ``old`` is complete, so ``_recover`` ignores any remainder in ``parent``.
        shutil.rmtree(name, dir_fd=parent)
    os.rename(name, name, src_dir_fd=new, dst_dir_fd=parent)


def _rename(source: int, name: str, target: int) -> bool:
    """Rename ``name`` from one folder to the other; return False if it must be copied instead."""
    try:
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _move_copy(source: int, name: str, target: int, copy: int) -> None:
    """Put a copy of ``source/name`` into ``target`` atomically, and sync it to disk."""
    if _exists(copy, name):
        shutil.rmtree(name, dir_fd=copy)
    copy_folder(source, name, copy)
    os.rename(name, name, src_dir_fd=copy, dst_dir_fd=target)
    os.fsync(target)


def _exchange(parent: int, new: int, name: str) -> bool:
    """Exchange ``name`` between the two folders; return False if the system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    encoded = os.fsencode(name)
    if renameat2(new, encoded, parent, encoded, _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), name)


def _recover(parent: Path, handle: int) -> None:
    """Move back an old folder that has no successor, and remove the journal."""
    if not _exists(handle, _JOURNAL):
        return
    journal = Folder(parent) / _JOURNAL
    with contextlib.suppress(FileNotFoundError):
        _move_back(journal, handle)
    # Rename it first, so that a half-removed folder is never moved back.
    with journal.handle() as opened:
        try:
            os.rename("old", "new/removed", src_dir_fd=opened, dst_dir_fd=opened)
        except OSError:
            shutil.rmtree("new", ignore_errors=True, dir_fd=opened)
    shutil.rmtree(_JOURNAL, ignore_errors=True, dir_fd=handle)


def _move_back(journal: Folder, parent: int) -> None:
    """Move folders from ``old`` back to ``parent`` if their successors are not there.

    If a successor is still in ``new``, a folder in its place is the remainder of the one that
    ``old`` holds completely.
    """
    with (journal / "old").handle() as old, os.scandir(old) as entries:
        names = [entry.name for entry in entries]
    if not names:
        return
    for part in _PARTS:  # a journal of an earlier version has no "copy"
        (journal / part).make()
    with _parts(journal) as (new, old, copy):
        for name in names:
            if _exists(parent, name):
                if not _exists(new, name):
                    continue
                shutil.rmtree(name, dir_fd=parent)
            if not _rename(old, name, parent):
                _move_copy(old, name, parent, copy)


@contextlib.contextmanager
def _parts(journal: Folder) -> Iterator[tuple[int, int, int]]:
    """Open the handles of ``new``, ``old`` and ``copy`` in the journal."""
    new, old, copy = ((journal / part).handle() for part in _PARTS)
    with new as first, old as second, copy as third:
        yield first, second, third


@contextlib.contextmanager
def _lock(parent: Path) -> Iterator[int]:
    """Open a handle of ``parent``, locked until the block or the process ends."""
    with Folder(parent).handle() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ResourceError(
                f"{parent}: another process is publishing there: wait for it to end"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield handle


def _exists(folder: int, name: str) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True
