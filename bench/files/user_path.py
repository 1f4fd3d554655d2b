"""A path as people write it.

Usage:
    user_path("~/runs/mine")        # /home/ada/runs/mine
"""

from pathlib import Path

from bench.errors import UsageError


def user_path(path: Path | str) -> Path:
    """``path`` with the home folder in the place of a leading ``~`` or ``~user``, as in a shell.

    A shell leaves the tilde of ``--out=~/mine``, and so does Python in what it is given. UsageError
    where there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(
            f"{path}: there is no such user: write ./{path} for a folder of that name"
        ) from None
