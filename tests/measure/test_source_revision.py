"""The revision of a checkout, seen on repositories made for it."""

import subprocess
from pathlib import Path

import pytest

from bench.measure.source_revision import revision


def _git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]
    command = ["git", *who, "-C", str(folder), *arguments]
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
    found = revision(package)
    assert found is not None
    assert found.commit == _git(package, "rev-parse", "HEAD")
    assert not found.dirty


@pytest.mark.parametrize("name", ["module.py", "new.py"])
def test_a_changed_or_new_file_of_the_package_makes_it_dirty(package: Path, name: str) -> None:
    (package / name).write_text("x = 2\n")
    found = revision(package)
    assert found is not None and found.dirty


def test_a_file_beside_the_package_does_not(package: Path) -> None:
    (package.parent / "notes.txt").write_text("later\n")
    found = revision(package)
    assert found is not None and not found.dirty


def test_a_copy_installed_inside_somebodys_checkout_has_no_revision(package: Path) -> None:
    installed = package.parent / "installed"
    installed.mkdir()
    (installed / "module.py").write_text("x = 1\n")
    assert revision(installed) is None


def test_outside_a_checkout_there_is_none(tmp_path: Path) -> None:
    assert revision(tmp_path) is None


def test_a_git_hooks_variables_do_not_lead_astray(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert revision(package) is not None
