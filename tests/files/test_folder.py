"""In a folder that may be a stranger's, no read or write leaves the folder."""

import os
import secrets
import stat
from pathlib import Path

import pytest

from bench.files.bounded_reading import UnsafeFileError
from bench.files.folder import Folder
from tests.support.other_users import KINDS, plant

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of the user with a file that links point to."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "file").write_bytes(b"precious")
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "run").mkdir()
    return Folder(tmp_path / "run")


def names_in(folder: Folder) -> set[str]:
    return {path.name for path in folder.path.iterdir()}


def test_a_file_appears_completely_or_not_at_all(folder: Folder) -> None:
    with folder.replacing("table.csv") as file:
        file.write(b"half")
        assert not (folder.path / "table.csv").exists()
    with pytest.raises(KeyboardInterrupt), folder.replacing("table.csv") as file:
        file.write(b"other")
        raise KeyboardInterrupt
    assert folder.read("table.csv", 4) == b"half"
    assert names_in(folder) == {"table.csv"}


def test_a_new_file_has_the_user_s_usual_mode(folder: Folder) -> None:
    (folder.path / "usual").touch()
    usual = (folder.path / "usual").stat().st_mode
    assert folder.write("file", b"").stat().st_mode == usual


def test_inner_folders_are_made_and_found_again(folder: Folder) -> None:
    inside = folder / "report" / "charts"
    inside.make()
    inside.make()
    assert inside.write("a.svg", b"<svg/>") == folder.path / "report/charts/a.svg"
    assert inside.read("a.svg", 6) == b"<svg/>"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc"])
def test_a_name_that_leads_outside_is_refused(folder: Folder, name: str) -> None:
    with pytest.raises(ValueError):
        folder / name


def test_the_root_may_be_a_link_since_the_user_names_it(tmp_path: Path, folder: Folder) -> None:
    (tmp_path / "link").symlink_to(folder.path)
    Folder(tmp_path / "link").write("file", b"text")
    assert folder.read("file", 4) == b"text"


@pytest.mark.parametrize("depth", [1, 2])
def test_a_link_in_place_of_a_folder_is_refused(folder: Folder, victim: Path, depth: int) -> None:
    inside = folder / "report" / "charts"
    (folder.path / "report").mkdir()
    link = folder.path / ("report" if depth == 1 else "report/charts")
    if depth == 1:
        link.rmdir()
    (victim / "charts").mkdir()
    link.symlink_to(victim)
    for use in (inside.make, lambda: inside.write("file", b"x"), lambda: inside.read("file", 9)):
        with pytest.raises(UnsafeFileError):
            use()
    assert (victim / "file").read_bytes() == b"precious"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "huge"])
def test_only_a_regular_file_is_replaced(folder: Folder, kind: str) -> None:
    plant(kind, folder.path / "file")
    before = (folder.path / "file").lstat()
    with pytest.raises(OSError):
        folder.write("file", b"text")
    after = (folder.path / "file").lstat()
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)


def test_a_link_to_a_file_is_neither_followed_nor_replaced(folder: Folder, victim: Path) -> None:
    (folder.path / "file").symlink_to(victim / "file")
    with pytest.raises(UnsafeFileError):
        folder.write("file", b"text")
    assert (victim / "file").read_bytes() == b"precious"


def test_a_hard_link_to_a_file_keeps_the_old_content(folder: Folder, victim: Path) -> None:
    os.link(victim / "file", folder.path / "file")
    folder.write("file", b"text")
    assert (victim / "file").read_bytes() == b"precious"
    assert folder.read("file", 4) == b"text"


def test_the_temporary_name_is_unpredictable(folder: Folder) -> None:
    names = set()
    for _ in range(20):
        with folder.replacing("file"):
            names |= names_in(folder) - {"file"}
    assert len(names) == 20


def test_a_temporary_name_that_exists_is_refused(
    folder: Folder, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: "guessed")
    (folder.path / ".file.guessed").symlink_to(victim / "file")
    with pytest.raises(FileExistsError):
        folder.write("file", b"text")
    assert (victim / "file").read_bytes() == b"precious"


def test_a_folder_that_is_replaced_by_a_link_meanwhile_is_still_written_to(
    folder: Folder, victim: Path
) -> None:
    report = folder / "report"
    report.make()
    with report.replacing("file") as file:
        (folder.path / "report").rename(folder.path / "moved")
        (folder.path / "report").symlink_to(victim)
        file.write(b"text")
    assert (folder.path / "moved" / "file").read_bytes() == b"text"
    assert (victim / "file").read_bytes() == b"precious"


def test_inner_folders_have_the_requested_mode(folder: Folder) -> None:
    (folder / "own").make(0o700)
    assert stat.S_IMODE((folder.path / "own").stat().st_mode) == 0o700
