"""Expand the home folder in a path that a user writes.

Usage:
    user_path("~/runs/mine")        # /home/ada/runs/mine
"""

from pathlib import Path

from bench.errors import UsageError


def user_path(path: Path | str) -> Path:
    """Expand a leading ``~`` or ``~user`` in ``path``, like a shell.

    A shell does not expand the tilde of ``--out=~/mine``, and neither does Python. Raises
    UsageError if there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(
            f"{path}: there is no such user: write ./{path} for a folder of that name"
        ) from None
