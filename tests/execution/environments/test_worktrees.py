"""Worktrees exist as long as their run, and never longer than until the next one."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import ResourceError
from bench.execution.environments.worktrees import (
    add_worktree,
    remove_abandoned,
    worktree_folder,
)
from tests.support.git_repository import Repository

KILLED = """
import os, signal, sys
from pathlib import Path
from bench.execution.environments.worktrees import add_worktree, worktree_folder
with worktree_folder() as folder:
    add_worktree(Path(sys.argv[1]), "HEAD", folder / "base")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run_folders(cache: Path) -> list[str]:
    """Return what is left in the folder of worktrees, without its lock."""
    (parent,) = cache.iterdir()
    return [path.name for path in parent.iterdir() if path.name != "lock"]


def test_a_worktree_has_the_revision_and_is_gone_after_the_block(
    repository: Repository, cache: Path
) -> None:
    first = repository.commit({"nets.py": "first"})
    repository.commit({"nets.py": "second"})
    with worktree_folder() as folder:
        assert add_worktree(repository.path, "HEAD~1", folder / "base") == first
        assert (folder / "base" / "nets.py").read_text() == "first"
        assert repository.worktrees == [str(repository.path), str(folder / "base")]
    assert run_folders(cache) == []
    assert repository.worktrees == [str(repository.path)]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_removes_it_too(
    error: type[BaseException], repository: Repository, cache: Path
) -> None:
    repository.commit({"nets.py": ""})
    with pytest.raises(error), worktree_folder() as folder:
        add_worktree(repository.path, "HEAD", folder / "base")
        closed = folder / "base" / "closed"
        closed.mkdir()
        (closed / "file").touch()
        closed.chmod(0o500)
        raise error
    assert run_folders(cache) == []
    assert repository.worktrees == [str(repository.path)]


@pytest.mark.parametrize("damage", ["none", "no .git", "gone"])
def test_what_a_killed_run_leaves_is_removed_by_the_next(
    damage: str, repository: Repository, cache: Path
) -> None:
    repository.commit({"nets.py": ""})
    command = [sys.executable, "-c", KILLED, str(repository.path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (left,) = run_folders(cache)
    worktree = Path(repository.worktrees[1])
    assert worktree.parent.name == left
    if damage != "none":
        (worktree / ".git").unlink()
    if damage == "gone":
        (worktree / "nets.py").unlink()
        worktree.rmdir()
    remove_abandoned()
    assert run_folders(cache) == []
    assert repository.worktrees == [str(repository.path)]


def test_a_run_leaves_the_worktrees_of_another_one(repository: Repository, cache: Path) -> None:
    repository.commit({"nets.py": ""})
    with worktree_folder() as first:
        add_worktree(repository.path, "HEAD", first / "base")
        with worktree_folder() as second:
            add_worktree(repository.path, "HEAD", second / "base")
            remove_abandoned()
            assert sorted(run_folders(cache)) == sorted([first.name, second.name])
        assert (first / "base" / "nets.py").exists()
    assert repository.worktrees == [str(repository.path)]


@pytest.mark.parametrize("revision", ["v9", "--help", "", "HEAD:nets.py"])
def test_a_missing_revision_is_refused_by_name(revision: str, repository: Repository) -> None:
    repository.commit({"nets.py": ""})
    with worktree_folder() as folder:
        with pytest.raises(ResourceError, match=f"no revision '{revision}' in"):
            add_worktree(repository.path, revision, folder / "base")
        assert [path.name for path in folder.iterdir()] == ["lock"]


def test_a_hook_of_the_repository_does_not_run(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"nets.py": ""})
    hook = repository.path / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    with worktree_folder() as folder:
        add_worktree(repository.path, "HEAD", folder / "base")
    assert not (tmp_path / "ran").exists()
