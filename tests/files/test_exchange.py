"""A folder is replaced in whole or not at all, wherever and however often the work is cut off."""

import errno
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import ResourceError
from bench.files import exchange
from bench.files.exchange import recover, replacement


class Killed(BaseException):
    """Stands for the end of the process: nothing of it runs any more."""


@pytest.fixture(params=["exchange", "rename", "copy"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an old one in it, where two can be exchanged, renamed, or only copied."""
    if request.param != "exchange":
        monkeypatch.setattr(exchange, "_exchanged", lambda *_: False)
    if request.param == "copy":
        monkeypatch.setattr(os, "rename", _rename_as_on_overlayfs)
    _fill_old(tmp_path / "place")
    return tmp_path / "place"


_RENAME = os.rename


def _rename_as_on_overlayfs(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
    """``os.rename``, which refuses the folder that ``_fill_old`` made."""
    if os.stat(source, dir_fd=src_dir_fd).st_mtime == 0:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    _RENAME(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)


def _fill_old(place: Path) -> None:
    _fill(place / "quick", "old")
    os.utime(place / "quick", (0, 0))


def _fill(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(text)


def _content(folder: Path) -> str:
    (file,) = folder.iterdir()
    return file.read_text()


def _replaced(place: Path, text: str) -> None:
    with replacement(place, "quick") as fresh:
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


def test_killed_at_any_step_twice_in_a_row_it_is_the_old_or_the_new(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = next(
        n for n in range(200) if not _killed_at(n, monkeypatch, lambda: _replaced(place, "count"))
    )
    assert last > 10
    for first, second in itertools.product(range(last), repeat=2):
        shutil.rmtree(place)
        _fill_old(place)
        _killed_at(first, monkeypatch, lambda: _replaced(place, "new"))
        _killed_at(second, monkeypatch, lambda: _replaced(place, "newer"))
        recover(place)
        assert _content(place / "quick") in ("old", "new", "newer"), (first, second)
        assert [path.name for path in place.iterdir()] == ["quick"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_where_it_is_interrupted_or_finds_no_room_the_old_one_stays(
    place: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)), replacement(place, "quick") as fresh:
        _fill(fresh, "new")
        raise error
    assert _content(place / "quick") == "old"
    assert [path.name for path in place.iterdir()] == ["quick"]


def test_two_at_once_do_not_take_each_other_s_folders(place: Path) -> None:
    with replacement(place, "quick") as fresh:
        with pytest.raises(ResourceError):
            _replaced(place, "other")
        recover(place)  # leaves alone what is being made
        _fill(fresh, "new")
    assert _content(place / "quick") == "new"


def test_a_link_in_the_journal_s_place_is_not_followed(place: Path, tmp_path: Path) -> None:
    _fill(tmp_path / "mine", "mine")
    (place / ".replacing").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic link"):
        _replaced(place, "new")
    assert _content(tmp_path / "mine") == "mine"
    assert _content(place / "quick") == "old"


OVERLAY = """
mkdir "$1/upper" "$1/work" "$1/merged" &&
mount -t overlay none -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" "$1/merged"
""".strip()
REPLACE = """
import sys
from pathlib import Path
from bench.files.exchange import recover, replacement

place = Path(sys.argv[1], "merged")
recover(place)
print((place / "killed/run.json").read_text())
try:
    with replacement(place, "quick"):
        raise KeyboardInterrupt
except KeyboardInterrupt:
    print((place / "quick/run.json").read_text())
with replacement(place, "quick") as fresh:
    (fresh / "run.json").write_text("new")
print((place / "quick/run.json").read_text())
print(*sorted(path.name for path in place.iterdir()))
"""


def test_a_folder_of_an_image_s_layer_is_replaced_and_moved_back(tmp_path: Path) -> None:
    _fill(tmp_path / "lower/quick", "old")
    _fill(tmp_path / "lower/.replacing/old/killed", "older")
    (tmp_path / "probe/lower").mkdir(parents=True)
    apart = ["unshare", "--mount", "sh", "-c"]
    try:
        subprocess.run([*apart, OVERLAY, "sh", tmp_path / "probe"], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("mounting layers needs root and unshare")
    done = subprocess.run(
        [*apart, f'{OVERLAY} && exec "$2" -c "$3" "$1"', "sh", tmp_path, sys.executable, REPLACE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["older", "old", "new", "killed quick"], done.stderr
