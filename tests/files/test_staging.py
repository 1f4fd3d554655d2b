"""The files of a report move to its folder together, and other files there remain."""

from pathlib import Path

import pytest

from bench.files.folder import Folder
from bench.files.staging import staged_folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with an old page, and a file of the user's."""
    (tmp_path / "out").mkdir()
    for name in ("index.html", "mine.txt"):
        (tmp_path / "out" / name).write_text("old")
    return tmp_path / "out"


def _write(files: Folder) -> None:
    files.write("index.html", b"new")
    (files / "charts").make()
    (files / "charts").write("a.svg", b"new")


def _content(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_all_files_are_moved_at_the_end_the_page_last(out: Path) -> None:
    with staged_folder(Folder(out)) as new:
        _write(new.files)
        assert (out / "index.html").read_text() == "old"
    assert _content(out) == {"index.html": "new", "charts/a.svg": "new", "mine.txt": "old"}
    assert new.written == (out / "charts/a.svg", out / "index.html")
    assert {path.name for path in out.iterdir()} == {"index.html", "charts", "mine.txt"}


def test_after_an_interruption_all_old_files_remain(out: Path) -> None:
    with pytest.raises(KeyboardInterrupt), staged_folder(Folder(out)) as new:
        _write(new.files)
        raise KeyboardInterrupt
    assert _content(out) == {"index.html": "old", "mine.txt": "old"}


def test_leftovers_of_killed_processes_are_removed_and_files_of_live_ones_kept(
    out: Path,
) -> None:
    (out / ".new-left").mkdir()
    (out / ".new-left/index.html").touch()
    with staged_folder(Folder(out)) as first:
        with staged_folder(Folder(out)) as second:
            _write(second.files)
        _write(first.files)
    assert {path.name for path in out.iterdir()} == {"index.html", "charts", "mine.txt"}


@pytest.mark.parametrize("name", ["index.html", "charts/a.svg"])
def test_with_a_link_in_place_of_a_file_nothing_is_moved(
    out: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "mine").write_text("mine")
    (out / "charts").mkdir()
    (out / name).unlink(missing_ok=True)
    (out / name).symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic link"), staged_folder(Folder(out)) as new:
        _write(new.files)
    assert (tmp_path / "mine").read_text() == "mine"
    assert "new" not in _content(out).values()
    assert not list(out.glob(".*"))
