"""What Ray keeps on this machine's disk, out of reach of its other users.

Usage:
    folder = make_ray_folder()           # private; ray.init(_temp_dir=folder / "r")
    protect_token()                      # before Ray starts, or sends its token to other machines

Ray opens its folder, which holds its sockets, logs and the code of its workers, to all users
(``try_make_directory_shared`` in ray/_common/utils.py), and lets them read the token that it makes.
"""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from bench.errors import ResourceError

_SYSTEM = "/tmp"
_LONGEST = 28
"""Bytes of the path of a folder for temporary files: with Ray's names, a socket has 107 at most."""
_PREFIX = "ray-"
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600


def make_ray_folder() -> Path:
    """A new folder that only this user can enter, under a name that nobody can foresee.

    Ray is to be given a folder inside, since it opens the one that it is given. ResourceError
    where none can be made.
    """
    asked = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or _SYSTEM
    place = asked if len(os.fsencode(asked)) <= _LONGEST else _SYSTEM
    try:
        return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place)).absolute()
    except OSError as error:
        raise ResourceError(
            f"{place}: Ray can keep no files there ({error.strerror}): set RAY_TMPDIR to a folder "
            "that can be written to"
        ) from None


def protect_token() -> None:
    """Make Ray's token where this user has none, and let nobody else read the one there is.

    Nothing is done where the home folder does not permit it: Ray then says so itself.
    """
    path = Path.home() / ".ray" / "auth_token"
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        path.parent.chmod(_FOLDER_MODE)
        if not path.exists():
            _write_new(path, secrets.token_hex(32))
        path.chmod(_FILE_MODE)


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
