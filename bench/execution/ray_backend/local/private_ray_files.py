"""Keep Ray's files on this machine private to this user.

Usage:
    folder = make_ray_folder(base)       # private: os.environ["RAY_TMPDIR"] for a local Ray
    remove_ray_folder(folder)            # after Ray has ended
    with ray_folder(base) as folder: ... # both
    protect_token()                      # before Ray starts
    make_token()                         # before it is sent to other machines

Ray opens its folder, which holds its sockets, logs and the code of its workers, to all users
(``try_make_directory_shared`` in ray/_common/utils.py), and lets them read the token that it makes.
"""

import contextlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.errors import ResourceError
from bench.execution.signals import defer_signals

PREFIX = "ray-"
RANDOM_LETTERS = 8
"""How many letters ``tempfile`` appends to a prefix."""
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600


class NotStartedError(ResourceError):
    """Ray did not start; its logs contain the reason."""


def make_ray_folder(base: Path) -> Path:
    """Make a folder in ``base`` with an unpredictable name that only this user can enter."""
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))


def remove_ray_folder(folder: Path) -> None:
    """Remove a folder that ``make_ray_folder`` has made; leave anything else."""
    is_named = folder.name.startswith(PREFIX) and len(folder.name) == len(PREFIX) + RANDOM_LETTERS
    with contextlib.suppress(FileNotFoundError):
        status = folder.lstat()
        if is_named and stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)  # follows no link


@contextlib.contextmanager
def ray_folder(base: Path) -> Iterator[Path]:
    """Yield a private folder for the block. After a NotStartedError it remains, with the logs."""
    folder, failed = make_ray_folder(base), False
    try:
        yield folder
    except NotStartedError:
        failed = True
        raise
    finally:
        if not failed:
            with defer_signals():
                remove_ray_folder(folder)


def protect_token() -> None:
    """Make the token in this user's home folder, if there is one, unreadable to others.

    Raises ResourceError if there is no home folder: a local Ray could not start either.
    """
    path = _token_path()
    with contextlib.suppress(OSError):  # there is none, or somebody else owns it
        path.chmod(_FILE_MODE)
        path.parent.chmod(_FOLDER_MODE)


def make_token() -> None:
    """Make a token in the home folder if there is none, and protect it.

    Raises ResourceError if there is no home folder, or it is not writable.
    """
    path = _token_path()
    try:
        path.parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        if not path.exists():
            _write_new(path, secrets.token_hex(32))
    except OSError as error:
        raise ResourceError(
            f"{path}: Ray's token cannot be created ({error.strerror}): make its folder writable"
        ) from None
    protect_token()


def _token_path() -> Path:
    try:
        return Path.home() / ".ray" / "auth_token"  # where Ray reads it, too
    except RuntimeError:
        raise ResourceError(
            "this user has no home folder, where Ray keeps its token: set HOME to your own folder"
        ) from None


def _write_new(path: Path, text: str) -> None:
    """Write a file whole or not at all; keep one that another process has written meanwhile."""
    handle, temporary = tempfile.mkstemp(dir=path.parent)  # readable only by its owner
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        Path(temporary).unlink()
