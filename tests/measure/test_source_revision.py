"""The revision of a checkout is read from git."""

import subprocess
from pathlib import Path

import pytest

from bench.measure.source_revision import revision


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package in a checkout with one commit."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "module.py").write_text("x = 1\n")
    (tmp_path / ".gitignore").write_text("installed/\n")
    _git(tmp_path, "init")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-m", "first")
    return folder


def test_a_clean_checkout_gives_its_commit(package: Path) -> None:
    result = revision(package)
    assert result is not None
    assert result.commit == _git(package, "rev-parse", "HEAD")
    assert not result.dirty


@pytest.mark.parametrize("name", ["module.py", "new.py"])
def test_a_changed_or_new_file_of_the_package_makes_it_dirty(package: Path, name: str) -> None:
    (package / name).write_text("x = 2\n")
    result = revision(package)
    assert result is not None and result.dirty


def test_a_file_beside_the_package_does_not_make_it_dirty(package: Path) -> None:
    (package.parent / "notes.txt").write_text("later\n")
    result = revision(package)
    assert result is not None and not result.dirty


def test_a_copy_that_is_installed_in_an_unrelated_checkout_has_no_revision(package: Path) -> None:
    installed = package.parent / "installed"
    installed.mkdir()
    (installed / "module.py").write_text("x = 1\n")
    assert revision(installed) is None


def test_outside_a_checkout_there_is_no_revision(tmp_path: Path) -> None:
    assert revision(tmp_path) is None


def test_the_variables_of_a_git_hook_are_ignored(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert revision(package) is not None
