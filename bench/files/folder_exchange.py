"""A folder replaced by a new one, so that an end at any instant loses neither of the two.

Usage:
    with replaced_folder(Path("results/published"), "quick") as fresh:     # a path to fill
        (fresh / "run.json").write_text("{}")
    # results/published/quick is now what was filled

The new folder is made in ``.replacing/new`` beside the old one, and the two are exchanged in one
step where the file system can do that. Elsewhere the old one is moved to ``.replacing/old`` first:
``recover_folder`` moves it back where a kill came before the new one took its place. What a killed
process has left is removed by the next ``replaced_folder``.
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

_JOURNAL = ".replacing"
_RENAME_EXCHANGE = 2  # of linux/fs.h
_NOT_HERE = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})


@contextlib.contextmanager
def replaced_folder(place: Path, name: str) -> Iterator[Path]:
    """A new folder that takes the place of ``place/name``, if there is one, once all went well.

    Whatever ends the block, ``place/name`` is afterwards the old folder, or all of the new one.
    ResourceError where another process replaces a folder of ``place``; OSError of the disk.
    """
    with _locked(place) as handle:
        _recover(place, handle)
        journal = Folder(place) / _JOURNAL
        for part in ("new", "old"):
            (journal / part).make()
        try:
            fresh = (journal / "new" / name).path
            fresh.mkdir()
            yield fresh
            with (journal / "new").handle() as new, (journal / "old").handle() as old:
                _take_place(handle, name, new, old)
            os.fsync(handle)
        finally:
            _recover(place, handle)


def recover_folder(place: Path) -> None:
    """Bring back or remove what a killed ``replaced_folder`` has left in ``place``.

    Nothing is done where another process is at work there, or where nobody may write.
    """
    with contextlib.suppress(OSError, ResourceError), _locked(place) as handle:
        _recover(place, handle)


def _take_place(place: int, name: str, new: int, old: int) -> None:
    """Put ``new/name`` in the place of ``place/name``; the old one stays in ``new`` or ``old``."""
    if not _is_there(place, name):
        os.rename(name, name, src_dir_fd=new, dst_dir_fd=place)
    elif not _exchanged(place, new, name):
        os.rename(name, name, src_dir_fd=place, dst_dir_fd=old)
        os.rename(name, name, src_dir_fd=new, dst_dir_fd=place)


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
    journal = Folder(place) / _JOURNAL
    if not _is_there(handle, _JOURNAL):
        return
    with contextlib.suppress(FileNotFoundError), (journal / "old").handle() as old:
        with os.scandir(old) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            if not _is_there(handle, name):
                os.rename(name, name, src_dir_fd=old, dst_dir_fd=handle)
    # Renamed first: half removed, it must not be taken for a folder to be moved back.
    with journal.handle() as opened, contextlib.suppress(OSError):
        os.rename("old", "new/removed", src_dir_fd=opened, dst_dir_fd=opened)
    shutil.rmtree(_JOURNAL, ignore_errors=True, dir_fd=handle)


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
