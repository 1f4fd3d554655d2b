"""Choose the folder for a local Ray's sockets and logs, and the token that its processes share.

Usage:
    variables = storage_variables()      # ResourceError if no folder is usable
    os.environ.update(variables)         # before ray.init("local")

Ray itself takes RAY_TMPDIR, else TMPDIR, else /tmp, and ~/.ray for its token, and fails if the
first of them is unusable. Ray is imported only where its token is read: the doctor's own process
does not load it.
"""

import datetime
import os
import shutil
import tempfile
from pathlib import Path

from bench.errors import ResourceError
from bench.execution.ray_backend.local.private_ray_files import PREFIX, RANDOM_LETTERS

_MAX_SOCKET_BYTES = 107
"""The path of a Unix socket has room for 108 bytes, the last of which is zero (unix(7))."""
_LARGEST_PID = 4_194_304
"""PID_MAX_LIMIT of 64-bit Linux (proc(5))."""
_MIN_FREE_BYTES = 32 * 2**20
"""The logs of a start take about 1 MB, those of some trials a few more."""
_TOKEN_VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def storage_variables() -> dict[str, str]:
    """Return variables with which a local Ray starts here; ResourceError if it cannot start."""
    return {"RAY_TMPDIR": str(usable_folder()), **_token()}


def usable_folder() -> Path:
    """Return the folder for a local Ray's files; ResourceError if no folder is usable.

    A folder that RAY_TMPDIR names is used or refused. Otherwise the first usable folder is taken.
    """
    if named := os.environ.get("RAY_TMPDIR"):
        if problem := _problem(Path(named)):
            raise ResourceError(
                f"RAY_TMPDIR ({named}) {problem}: set it to a short path on a disk with free space"
            )
        return Path(named)
    problems = []
    for folder in _candidates():
        problem = _problem(folder)
        if problem is None:
            return folder
        problems.append(f"{folder} {problem}")
    raise ResourceError(
        f"Ray has no folder for its sockets and logs ({'; '.join(problems)}): set RAY_TMPDIR to a "
        "short path on a disk with free space"
    )


def base_folder() -> Path:
    """Return the folder where Ray keeps its files, by the current variables."""
    return Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp")


def logs_folder() -> Path:
    """Return the log folder of the Ray that was started last in ``base_folder()``."""
    return base_folder() / "ray/session_latest/logs"


def _candidates() -> tuple[Path, ...]:
    named = (os.environ.get("TMPDIR"), "/tmp", "/var/tmp", os.environ.get("XDG_RUNTIME_DIR"))
    return tuple(dict.fromkeys(Path(folder) for folder in (*named, "/dev/shm") if folder))


def _problem(base: Path) -> str | None:
    """Return why Ray cannot keep its files below ``base``; None if it can."""
    private = base / (PREFIX + "x" * RANDOM_LETTERS)
    # Ray builds these names itself, in its module node.
    session = f"session_{datetime.datetime.max:%Y-%m-%d_%H-%M-%S_%f}_{_LARGEST_PID}"
    socket = private / "ray" / session / "sockets" / "plasma_store"
    if not base.is_absolute():
        return "is not an absolute path"
    if len(os.fsencode(socket)) > _MAX_SOCKET_BYTES:
        return f"is too long: its sockets' paths would exceed {_MAX_SOCKET_BYTES} bytes"
    try:
        if not base.is_dir():
            return "is not a folder"
        if shutil.disk_usage(base).free < _MIN_FREE_BYTES:
            return "is full"
        with tempfile.TemporaryFile(dir=base) as file:
            file.write(bytes(4096))
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    return None


def _token() -> dict[str, str]:
    """Return a token for only this Ray if the user has none; leave none in the home folder."""
    from ray.exceptions import AuthenticationError

    from bench.execution.ray_backend.ray_compat import (
        AuthenticationTokenLoader,
        generate_new_authentication_token,
    )

    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return {}
    try:
        if AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
            return {}
    except AuthenticationError as error:
        named = [name for name in _TOKEN_VARIABLES if name in os.environ]
        where = f"correct or unset {named[0]}" if named else "correct or remove ~/.ray/auth_token"
        reason = str(error).partition(". ")[0]
        raise ResourceError(f"Ray's token cannot be read ({reason}): {where}") from None
    return {"RAY_AUTH_TOKEN": generate_new_authentication_token()}
