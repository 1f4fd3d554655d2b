"""A folder is replaced in whole or not at all, wherever and however often the work is cut off."""

import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import ResourceError
from bench.files import folder_exchange
from bench.files.folder_exchange import recover_folder, replaced_folder


class Killed(BaseException):
    """Stands for the end of the process: nothing of it runs any more."""


@pytest.fixture(params=[True, False], ids=["exchange", "rename"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an old one in it, on a system that can exchange two, and one that cannot."""
    if not request.param:
        monkeypatch.setattr(folder_exchange, "_exchanged", lambda *_: False)
    _fill(tmp_path / "place/quick", "old")
    return tmp_path / "place"


def _fill(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(text)


def _content(folder: Path) -> str:
    (file,) = folder.iterdir()
    return file.read_text()


def _replaced(place: Path, text: str) -> None:
    with replaced_folder(place, "quick") as fresh:
        _fill(fresh, text)


def _killed_at(step: int, monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> bool:
    """Do ``work`` until its call number ``step`` of the system, after which it can do no more."""
    calls = itertools.count()

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*words: object, **options: object) -> object:
            if next(calls) >= step:
                raise Killed
            return real(*words, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("rename", "mkdir", "fsync", "lstat", "unlink", "rmdir"):
            real = getattr(os, name) if name != "fsync" else lambda _: None  # which takes long
            patch.setattr(os, name, counted(real))
        try:
            work()
        except Killed:
            return True
    return False


def test_the_new_folder_takes_the_old_one_s_place_and_nothing_else_stays(place: Path) -> None:
    _replaced(place, "new")
    assert _content(place / "quick") == "new"
    assert [path.name for path in place.iterdir()] == ["quick"]


@pytest.mark.slow
def test_killed_at_any_step_twice_in_a_row_it_is_the_old_or_the_new(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = next(
        n for n in range(200) if not _killed_at(n, monkeypatch, lambda: _replaced(place, "count"))
    )
    assert last > 10
    for first, second in itertools.product(range(last), repeat=2):
        shutil.rmtree(place)
        _fill(place / "quick", "old")
        _killed_at(first, monkeypatch, lambda: _replaced(place, "new"))
        _killed_at(second, monkeypatch, lambda: _replaced(place, "newer"))
        recover_folder(place)
        assert _content(place / "quick") in ("old", "new", "newer"), (first, second)
        assert [path.name for path in place.iterdir()] == ["quick"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_where_it_is_interrupted_or_finds_no_room_the_old_one_stays(
    place: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)), replaced_folder(place, "quick") as fresh:
        _fill(fresh, "new")
        raise error
    assert _content(place / "quick") == "old"
    assert [path.name for path in place.iterdir()] == ["quick"]


def test_two_at_once_do_not_take_each_other_s_folders(place: Path) -> None:
    with replaced_folder(place, "quick") as fresh:
        with pytest.raises(ResourceError):
            _replaced(place, "other")
        recover_folder(place)  # leaves alone what is being made
        _fill(fresh, "new")
    assert _content(place / "quick") == "new"


def test_a_link_in_the_journal_s_place_is_not_followed(place: Path, tmp_path: Path) -> None:
    _fill(tmp_path / "mine", "mine")
    (place / ".replacing").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic link"):
        _replaced(place, "new")
    assert _content(tmp_path / "mine") == "mine"
    assert _content(place / "quick") == "old"
