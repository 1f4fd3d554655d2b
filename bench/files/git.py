"""Ask git about a folder, or have it change a repository.

Usage:
    git(folder, "rev-parse", "HEAD")     # its output; GitError with git's reason
"""

import os
import subprocess
from pathlib import Path

_TIMEOUT_S = 10.0


class GitError(Exception):
    """Git is missing, took too long or refused; the text is its reason, in one line."""


def git(folder: Path, *arguments: str, timeout_s: float = _TIMEOUT_S) -> str:
    """Return what ``git -C folder arguments`` prints; GitError if it fails.

    It runs no hook of the repository.
    """
    # In a git hook, GIT_DIR and similar variables point elsewhere. Without locks, because another
    # process may be committing.
    variables = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", "-c", f"core.hooksPath={os.devnull}", "-C", str(folder), *arguments]
    try:
        return subprocess.run(
            command,
            env={**variables, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=True,
            timeout=timeout_s,
            # A terminal's Ctrl-C is for the run, which ends in good order.
            start_new_session=True,
        ).stdout
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"git exited with code {error.returncode}"]
        raise GitError(lines[-1].removeprefix("fatal: ")) from None
    except subprocess.TimeoutExpired:
        raise GitError(f"git did not end within {timeout_s:g} s") from None
    except OSError as error:
        raise GitError(f"git cannot be started: {error.strerror}") from None
