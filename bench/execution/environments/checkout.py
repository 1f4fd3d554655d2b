"""Check a revision of the suite's repository out, set it up, and find what trials import from it.

Usage:
    checkout = check_out(suite, settings, worktrees / "base")      # ResourceError if impossible
    checkout.package, checkout.modules(["nets:build"])
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bench.errors import ResourceError
from bench.execution.custom_workloads.module_folder import find_module, package_of
from bench.execution.environments.worktrees import add_worktree
from bench.files.git import GitError, git
from bench.files.toml_file import parse_toml
from bench.spec.suite import Suite

_DISTRIBUTION = "trainbench"


@dataclass(frozen=True)
class Checkout:
    """A worktree of the repository in which a suite's file lies."""

    folder: Path
    suite_folder: Path
    """The place of the suite's folder in it, which may be missing."""

    @property
    def package(self) -> Path | None:
        """The folder from which to import ``bench``, if it is a repository of this package."""
        try:
            content = (self.folder / "pyproject.toml").read_text(encoding="utf-8")
            is_ours = parse_toml(content)["project"]["name"] == _DISTRIBUTION
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return self.folder if is_ours and (self.folder / "bench").is_dir() else None

    def modules(self, workloads: Collection[str]) -> tuple[Path, ...]:
        """Return the files and packages of ``workloads`` in it.

        They lie where the suite's file does, in the root or in src.
        """
        folders = (self.suite_folder, self.folder, self.folder / "src")
        found = []
        for package in sorted({package_of(workload) for workload in workloads}):
            paths = (find_module(folder, package) for folder in folders)
            if path := next(filter(None, paths), None):
                found.append(path)
        return tuple(found)


def check_out(suite: Suite, revision: str, folder: Path) -> Checkout:
    """Make a worktree at ``revision`` in ``folder``; ResourceError if that is impossible."""
    repository = repository_of(suite)
    add_worktree(repository, revision, folder)
    assert suite.folder is not None  # else it has no repository
    return Checkout(folder, folder / suite.folder.relative_to(repository))


def repository_of(suite: Suite) -> Path:
    """Return the root of the git repository of the suite's file; ResourceError without one."""
    if suite.folder is None:
        raise ResourceError("revision needs a suite's file in a git repository: name its path")
    try:
        return Path(git(suite.folder, "rev-parse", "--show-toplevel").rstrip("\n")).resolve()
    except GitError as error:
        raise ResourceError(
            f"revision needs a git repository around {suite.folder}, but {error}: move the "
            "suite's file there"
        ) from None


def state_of(repository: Path) -> tuple[str, bool]:
    """Return what a repository or worktree is checked out at, and whether tracked files differ.

    New files do not count: they are what a setup makes, and run folders.
    """
    try:
        commit = git(repository, "rev-parse", "HEAD").strip()
        changes = git(repository, "status", "--porcelain", "--untracked-files=no")
    except GitError as error:
        raise ResourceError(f"the state of {repository} is unknown: {error}") from None
    return commit, bool(changes)
