"""A cache folder is writable for its user only, or is refused."""

import contextlib
import os
import stat
from pathlib import Path

import pytest

from bench.files.private_folder import private_folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the new folder."""
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / f"code-{os.getuid()}"


def test_the_folder_is_private_to_its_user_and_reused(folder: Path) -> None:
    assert private_folder("code") == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert private_folder("code") == folder


def test_read_access_of_others_is_removed(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    private_folder("code")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_can_write_to_is_refused(folder: Path, mode: int) -> None:
    folder.mkdir(parents=True)
    folder.chmod(mode)
    with pytest.raises(OSError):
        private_folder("code")


@pytest.mark.parametrize(("mode", "replaceable"), [(0o777, True), (0o1777, False), (0o755, False)])
def test_a_folder_that_anybody_could_replace_is_refused(
    folder: Path, mode: int, replaceable: bool
) -> None:
    private_folder("code")
    folder.parent.chmod(mode)
    with pytest.raises(OSError) if replaceable else contextlib.nullcontext():
        private_folder("code")


def test_a_folder_inside_a_stranger_s_is_refused_unless_the_user_named_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = tmp_path / "trainbench"
    around.mkdir()
    try:
        os.chown(around, os.getuid() + 1, -1)
    except PermissionError:
        pytest.skip("only root gives a folder away")
    monkeypatch.setenv("BENCH_CACHE_DIR", str(around))
    assert private_folder("code").parent == around
    monkeypatch.delenv("BENCH_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(OSError):
        private_folder("code")


def test_a_link_and_a_file_are_refused(folder: Path, tmp_path: Path) -> None:
    folder.parent.mkdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(OSError) as link:
        private_folder("code")
    folder.unlink()
    folder.write_text("in the way")
    with pytest.raises(OSError) as file:
        private_folder("code")
    # What is told goes into records, which are published.
    assert str(tmp_path) not in f"{link.value} {file.value}"


def test_another_user_s_folder_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private_folder("code")
    other = os.getuid() + 1
    folder.rename(folder.with_name(f"code-{other}"))
    monkeypatch.setattr(os, "getuid", lambda: other)
    with pytest.raises(OSError):
        private_folder("code")
