"""A git repository with commits, made by the real git.

Usage:
    repository = Repository(tmp_path / "nets")
    first = repository.commit({"nets.py": "x = 1\n"})
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path

_IDENTITY = ("-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main")


class Repository:
    """A repository at ``path``, which is made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet")

    def git(self, *arguments: str) -> str:
        """Return what a git command prints."""
        command = ["git", *_IDENTITY, "-C", str(self.path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def commit(self, files: Mapping[str, str]) -> str:
        """Write ``files`` and return the commit that has them."""
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "a change")
        return self.git("rev-parse", "HEAD")

    @property
    def worktrees(self) -> list[str]:
        """The worktrees that git knows, the repository's own first."""
        lines = self.git("worktree", "list", "--porcelain").splitlines()
        return [line.removeprefix("worktree ") for line in lines if line.startswith("worktree ")]
