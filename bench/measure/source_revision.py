"""Find the source revision that this package runs from.

Usage:
    revision()      # Revision("3f2a...", dirty=False), or None outside a checkout
"""

from dataclasses import dataclass
from pathlib import Path

import bench.errors
from bench.files.git import GitError, git

PACKAGE = Path(bench.errors.__file__).parent


@dataclass(frozen=True)
class Revision:
    """A commit, and whether the package's files differ from it."""

    commit: str
    dirty: bool


def revision(folder: Path = PACKAGE) -> Revision | None:
    """Return the commit that ``folder`` is checked out at; None if git does not track it.

    Only changed and new files under ``folder`` make it dirty: a note beside the package does not
    change what runs.
    """
    # An installed copy may be in an ignored folder of an unrelated checkout.
    if not _git(folder, "ls-files", "."):
        return None
    status = _git(folder, "status", "--porcelain=v2", "--branch", "--", ".")
    lines = status.splitlines() if status else []
    commits = [line.split()[-1] for line in lines if line.startswith("# branch.oid ")]
    if not commits or commits[0] == "(initial)":
        return None
    return Revision(commits[0], dirty=any(not line.startswith("#") for line in lines))


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        return git(folder, *arguments)
    except GitError:
        return None
