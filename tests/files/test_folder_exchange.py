"""A folder is replaced completely or not at all, wherever and however often it is interrupted."""

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
from bench.files import folder_exchange
from bench.files.folder_exchange import recover_folder, replaced_folder


class Killed(BaseException):
    """Represents the end of the process: none of its code runs after it."""


@pytest.fixture(params=["exchange", "rename", "copy"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an old one in it; folders can be exchanged, renamed, or only copied."""
    if request.param != "exchange":
        monkeypatch.setattr(folder_exchange, "_exchange", lambda *_: False)
    if request.param == "copy":
        monkeypatch.setattr(os, "rename", _rename_as_on_overlayfs)
    _fill_old(tmp_path / "place")
    return tmp_path / "place"


_RENAME = os.rename


def _rename_as_on_overlayfs(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
    """Rename like ``os.rename``, but refuse the folder that ``_fill_old`` made."""
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
    with replaced_folder(place, "quick") as new_folder:
        _fill(new_folder, text)


def _killed_at(step: int, monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> bool:
    """Do ``work`` up to its system call number ``step``, and make all later calls fail."""
    calls = itertools.count()

    def count_calls(real: Callable[..., object]) -> Callable[..., object]:
        def call(*words: object, **options: object) -> object:
            if next(calls) >= step:
                raise Killed
            return real(*words, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("rename", "mkdir", "fsync", "lstat", "unlink", "rmdir"):
            real = getattr(os, name) if name != "fsync" else lambda _: None  # which takes long
            patch.setattr(os, name, count_calls(real))
        try:
            work()
        except Killed:
            return True
    return False


def test_the_new_folder_replaces_the_old_one_and_nothing_else_remains(place: Path) -> None:
    _replaced(place, "new")
    assert _content(place / "quick") == "new"
    assert [path.name for path in place.iterdir()] == ["quick"]


@pytest.mark.slow
def test_after_two_kills_at_any_step_the_folder_is_the_old_or_the_new_one(
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
        recover_folder(place)
        assert _content(place / "quick") in ("old", "new", "newer"), (first, second)
        assert [path.name for path in place.iterdir()] == ["quick"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_after_an_interruption_or_on_a_full_disk_the_old_folder_remains(
    place: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)), replaced_folder(place, "quick") as new_folder:
        _fill(new_folder, "new")
        raise error
    assert _content(place / "quick") == "old"
    assert [path.name for path in place.iterdir()] == ["quick"]


def test_two_processes_do_not_disturb_each_other(place: Path) -> None:
    with replaced_folder(place, "quick") as new_folder:
        with pytest.raises(ResourceError):
            _replaced(place, "other")
        recover_folder(place)  # leaves alone what is being made
        _fill(new_folder, "new")
    assert _content(place / "quick") == "new"


def test_a_link_in_place_of_the_journal_is_not_followed(place: Path, tmp_path: Path) -> None:
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
from bench.files.folder_exchange import recover_folder, replaced_folder

place = Path(sys.argv[1], "merged")
recover_folder(place)
print((place / "killed/run.json").read_text())
try:
    with replaced_folder(place, "quick"):
        raise KeyboardInterrupt
except KeyboardInterrupt:
    print((place / "quick/run.json").read_text())
with replaced_folder(place, "quick") as new_folder:
    (new_folder / "run.json").write_text("new")
print((place / "quick/run.json").read_text())
print(*sorted(path.name for path in place.iterdir()))
"""


def test_a_folder_of_an_image_layer_is_replaced_and_moved_back(tmp_path: Path) -> None:
    _fill(tmp_path / "lower/quick", "old")
    _fill(tmp_path / "lower/.replacing/old/killed", "older")
    (tmp_path / "probe/lower").mkdir(parents=True)
    isolation = ["unshare", "--mount", "sh", "-c"]
    try:
        subprocess.run(
            [*isolation, OVERLAY, "sh", tmp_path / "probe"], check=True, capture_output=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        # Injected errors test the same path everywhere; this one adds a real overlayfs.
        pytest.skip("needs root and unshare, to mount an overlayfs")
    done = subprocess.run(
        [
            *isolation,
            f'{OVERLAY} && exec "$2" -c "$3" "$1"',
            "sh",
            tmp_path,
            sys.executable,
            REPLACE,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["older", "old", "new", "killed quick"], done.stderr
