"""What Ray keeps on this machine's disk, out of reach of its other users.

Usage:
    folder = make_ray_folder(base)       # private: os.environ["RAY_TMPDIR"] for a local Ray
    remove_ray_folder(folder)            # once that Ray has ended
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
from bench.execution.interrupt import held_back

PREFIX = "ray-"
RANDOM_LETTERS = 8
"""That ``tempfile`` puts behind a prefix."""
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600


class NotStartedError(ResourceError):
    """Ray did not start, and its logs say why."""


def make_ray_folder(base: Path) -> Path:
    """A new folder in ``base`` that only this user can enter, under a name nobody can foresee."""
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))


def remove_ray_folder(folder: Path) -> None:
    """Remove a folder that ``make_ray_folder`` has made; whatever else is there stays."""
    is_named = folder.name.startswith(PREFIX) and len(folder.name) == len(PREFIX) + RANDOM_LETTERS
    with contextlib.suppress(FileNotFoundError):
        found = folder.lstat()
        if is_named and stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)  # which follows no link


@contextlib.contextmanager
def ray_folder(base: Path) -> Iterator[Path]:
    """Such a folder for the block. After a NotStartedError it stays, with the logs."""
    folder, failed = make_ray_folder(base), False
    try:
        yield folder
    except NotStartedError:
        failed = True
        raise
    finally:
        if not failed:
            with held_back():
                remove_ray_folder(folder)


def protect_token() -> None:
    """Let nobody else read the token of this user's home folder, where there is one.

    ResourceError where there is no such folder: a local Ray could not start either.
    """
    path = _token_path()
    with contextlib.suppress(OSError):  # there is none, or it is somebody else's to give
        path.chmod(_FILE_MODE)
        path.parent.chmod(_FOLDER_MODE)


def make_token() -> None:
    """Make a token in the home folder where there is none, and protect it.

    ResourceError where there is no such folder, or it cannot be written.
    """
    path = _token_path()
    try:
        path.parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        if not path.exists():
            _write_new(path, secrets.token_hex(32))
    except OSError as error:
        raise ResourceError(
            f"{path}: no token for Ray can be made ({error.strerror}): make its folder writable"
        ) from None
    protect_token()


def _token_path() -> Path:
    try:
        return Path.home() / ".ray" / "auth_token"  # where Ray looks, too
    except RuntimeError:
        raise ResourceError(
            "this user has no home folder, where Ray keeps its token: set HOME to a folder of yours"
        ) from None


def _write_new(path: Path, text: str) -> None:
    """Write a file whole or not at all; one that another process has written meanwhile stays."""
    handle, aside = tempfile.mkstemp(dir=path.parent)  # readable by its owner alone
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    finally:
        Path(aside).unlink()
