"""Make worktrees of a git repository for one run, and remove them however the run ends.

Usage:
    remove_abandoned()                       # what killed runs have left
    with worktree_folder() as folder:
        commit = add_worktree(repository, "origin/main", folder / "base")

Each run has a folder in the user's private cache, with a lock that the kernel releases when the run
ends. What a killed run leaves is removed by the next run, as are processes that have the folder's
name as their mark.
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from bench.errors import ResourceError
from bench.execution.signals import defer_signals
from bench.files.file_lock import file_lock
from bench.files.git import GitError, git
from bench.files.private_folder import private_folder, private_path
from bench.measure.marked_processes import kill_marked

KIND = "worktrees"
"""The kind of private folder that holds them."""
_LOCK = "lock"
_REPOSITORY = "repository"
"""The file that names the repository of a run's worktrees."""
_CHECKOUT_S = 600.0
_KILL_S = 10.0


@contextlib.contextmanager
def worktree_folder() -> Iterator[Path]:
    """Make a folder for a run's worktrees, and remove them at the end of the block.

    ResourceError if it cannot be made.
    """
    with contextlib.ExitStack() as stack:
        try:
            parent = private_folder(KIND)
            # Nobody may take a folder for abandoned that its run has not locked yet.
            with file_lock(parent / _LOCK):
                folder = parent / uuid.uuid4().hex[:12]
                folder.mkdir(mode=0o700)
                stack.enter_context(file_lock(folder / _LOCK))
        except OSError as error:
            reason = error.strerror or error.args[-1]
            raise ResourceError(f"no worktree can be made: {reason}") from None
        stack.callback(_remove, folder)
        yield folder


def add_worktree(repository: Path, revision: str, folder: Path) -> str:
    """Check ``revision`` out into ``folder``, and return its commit; ResourceError if impossible.

    ``folder`` is in that of the run; all of a run's worktrees are of one repository.
    """
    name = f"{revision}^{{commit}}"
    try:
        commit = git(repository, "rev-parse", "--verify", "--end-of-options", name).strip()
    except GitError:
        raise ResourceError(
            f"no revision {revision!r} in {repository}: name a commit, branch or tag there, or "
            "fetch it first"
        ) from None
    try:
        (folder.parent / _REPOSITORY).write_text(str(repository), encoding="utf-8")
        options = ("--detach", "--quiet", "--force")
        git(repository, "worktree", "add", *options, str(folder), commit, timeout_s=_CHECKOUT_S)
    except (GitError, OSError) as error:
        raise ResourceError(f"revision {revision!r} cannot be checked out: {error}") from None
    return commit


def remove_abandoned() -> None:
    """Remove the folders and processes of runs that were killed."""
    parent = private_path(KIND)
    if not parent.is_dir():
        return
    # Folders that cannot be removed disturb no run.
    with contextlib.suppress(OSError), file_lock(private_folder(KIND) / _LOCK):
        for folder in [path for path in parent.iterdir() if path.is_dir()]:
            with contextlib.suppress(OSError), file_lock(folder / _LOCK, wait=False):
                kill_marked(folder.name, _KILL_S)
                _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a run's folder, and its worktrees from their repository, whatever signals arrive."""
    with defer_signals():
        for worktree in [path for path in folder.iterdir() if path.is_dir()]:
            _make_writable(worktree)
            shutil.rmtree(worktree, ignore_errors=True)
        with contextlib.suppress(OSError, GitError):
            _forget(Path((folder / _REPOSITORY).read_text(encoding="utf-8")), folder)
        shutil.rmtree(folder, ignore_errors=True)


def _forget(repository: Path, folder: Path) -> None:
    """Have git forget the worktrees in ``folder``, which are gone: it keeps damaged ones."""
    for line in git(repository, "worktree", "list", "--porcelain").splitlines():
        path = line.removeprefix("worktree ")
        if path != line and Path(path).parent.name == folder.name:
            git(repository, "worktree", "remove", "--force", "--force", path)


def _make_writable(folder: Path) -> None:
    """Let the owner change all folders in ``folder``; some tools leave them read-only."""
    for parent, names, _ in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(0o700)
