"""Which revision of the source this package runs from.

Usage:
    revision()      # Revision("3f2a...", dirty=False), or None outside a checkout
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import bench.errors

PACKAGE = Path(bench.errors.__file__).parent
_TIMEOUT_S = 10


@dataclass(frozen=True)
class Revision:
    """A commit, and whether the package's own files differ from it."""

    commit: str
    dirty: bool


def revision(folder: Path = PACKAGE) -> Revision | None:
    """The commit that ``folder`` is checked out at; None where git does not track it.

    Only files under ``folder`` count as changes, new ones included: a note beside the package
    does not change what runs.
    """
    # An installed copy may lie inside somebody's checkout, ignored there: not its revision.
    if not _git(folder, "ls-files", "."):
        return None
    status = _git(folder, "status", "--porcelain=v2", "--branch", "--", ".")
    lines = status.splitlines() if status else []
    commits = [line.split()[-1] for line in lines if line.startswith("# branch.oid ")]
    if not commits or commits[0] == "(initial)":
        return None
    return Revision(commits[0], dirty=any(not line.startswith("#") for line in lines))


def _git(folder: Path, *arguments: str) -> str | None:
    # Inside a git hook, GIT_DIR and the like point elsewhere. No lock: others may be committing.
    outside = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env={**outside, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=_TIMEOUT_S,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
