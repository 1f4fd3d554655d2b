import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.datasets import fetch as fetching
from bench.datasets.fashion_mnist import TEST_LABELS, TRAIN_IMAGES, Place, read_folder
from bench.datasets.fetch import fetch, find_or_fetch, verify
from bench.errors import DatasetError


@dataclass
class Mirror:
    """Files that a real HTTP server on this machine gives out, and what was asked of it."""

    folder: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def damage(self, name: str, content: bytes) -> None:
        (self.folder / f"{name}.gz").unlink()
        (self.folder / f"{name}.gz").write_bytes(content)


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, mirror: Mirror) -> None:
        self.mirror = mirror
        super().__init__(*args, directory=str(mirror.folder))

    def log_request(self, *_: Any) -> None:
        self.mirror.asked.append(self.path)

    def log_error(self, *_: Any) -> None:
        pass


@pytest.fixture
def mirror(nowhere: Path, good_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """The one source that answers."""
    del nowhere
    mirror = Mirror(good_folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, mirror=mirror)) as server:
        mirror.url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(fetching, "_MIRROR", mirror.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield mirror
        server.shutdown()
        thread.join()


def _whole(folder: Path) -> bool:
    return read_folder(Place("", folder)).complete


def _refusal(folder: Path | None = None) -> str:
    with pytest.raises(DatasetError) as refusal:
        fetch(folder)
    return str(refusal.value)


def test_the_real_data_set_is_found_or_got(fashion_mnist_dir: Path) -> None:
    assert _whole(fashion_mnist_dir)


def test_where_nothing_works_one_line_names_all_that_was_tried_and_the_remedy(
    nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "named"))
    said = _refusal()
    assert "\n" not in said
    for folder in (tmp_path / "named", tmp_path / "debian", nowhere, tmp_path / "keras"):
        assert str(folder) in said
    assert "download from Keras's mirror (" in said
    assert "by apt-get (apt-get is not there)" in said
    assert said.endswith("put the four files in a folder and name it in BENCH_DATA_DIR")


def test_a_damaged_place_is_passed_over_for_a_later_one(
    nowhere: Path, good_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / f"{TRAIN_IMAGES.name}.gz").write_bytes(b"\x1f\x8b nothing")
    monkeypatch.setenv("BENCH_DATA_DIR", str(damaged))
    assert "train-images-idx3-ubyte.gz is damaged" in _refusal()
    shutil.copytree(good_folder, nowhere, dirs_exist_ok=True)
    assert find_or_fetch().place.folder == nowhere
    assert fetch() == nowhere


def test_a_download_fills_the_cache(nowhere: Path, mirror: Mirror) -> None:
    content = find_or_fetch()
    assert content.complete
    assert content.place.folder == nowhere
    assert all(check.path.parent == nowhere and check.path.is_file() for check in content.checks)
    assert _whole(nowhere)
    assert len(mirror.asked) == 4
    assert not list(nowhere.glob(".fetching-*"))


def test_a_damaged_cache_is_mended(nowhere: Path, mirror: Mirror) -> None:
    find_or_fetch()
    (nowhere / f"{TEST_LABELS.name}.gz").write_bytes(b"")
    assert not _whole(nowhere)
    assert fetch() == nowhere
    assert _whole(nowhere)
    assert len(mirror.asked) == 8


def test_what_is_there_is_not_got_again_unless_forced(nowhere: Path, mirror: Mirror) -> None:
    fetch()
    fetch()
    assert len(mirror.asked) == 4
    assert fetch(force=True) == nowhere
    assert len(mirror.asked) == 8


def test_a_forced_fetch_that_fails_leaves_what_was_there(nowhere: Path, mirror: Mirror) -> None:
    fetch()
    mirror.damage(TEST_LABELS.name, b"other")
    with pytest.raises(DatasetError, match=r"t10k-labels-idx1-ubyte.* is truncated"):
        fetch(force=True)
    assert _whole(nowhere)


def test_wrong_bytes_from_the_network_never_reach_the_cache(nowhere: Path, mirror: Mirror) -> None:
    mirror.damage(TEST_LABELS.name, bytes(10_008))
    assert "mirror (t10k-labels-idx1-ubyte.gz is not the right file" in _refusal()
    assert [path.name for path in nowhere.iterdir()] == [".lock"]


def test_a_file_that_the_mirror_lacks_is_said(nowhere: Path, mirror: Mirror) -> None:
    del nowhere
    (mirror.folder / f"{TEST_LABELS.name}.gz").unlink()
    assert "mirror (HTTP Error 404: File not found)" in _refusal()


def test_a_given_folder_is_filled_by_copying_from_where_the_data_is(
    nowhere: Path, good_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "k"))
    shutil.copytree(good_folder, tmp_path / "k" / "datasets" / "fashion-mnist")
    assert fetch(tmp_path / "mine") == tmp_path / "mine"
    assert _whole(tmp_path / "mine")
    assert not nowhere.exists()


def test_what_a_killed_process_left_is_cleared_away(nowhere: Path, mirror: Mirror) -> None:
    del mirror
    (nowhere / ".fetching-stale").mkdir(parents=True)
    fetch()
    assert not (nowhere / ".fetching-stale").exists()


def test_a_cache_that_cannot_be_written_is_named(
    nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del nowhere
    (tmp_path / "file").touch()
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "file"))
    said = _refusal()
    assert f"the cache {tmp_path / 'file' / 'fashion-mnist'} (cannot be written: " in said
    assert "name a writable folder in BENCH_CACHE_DIR" in said


def test_of_processes_that_fetch_at_once_one_does_and_all_have_it(
    nowhere: Path, mirror: Mirror
) -> None:
    program = (
        "import sys; from bench.datasets import data_places, fetch; from pathlib import Path; "
        "fetch._MIRROR = sys.argv[1]; data_places.DEBIAN_FOLDER = Path('/nonexistent'); "
        "content = fetch.find_or_fetch(); assert content.complete; print(content.place.folder)"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, mirror.url], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    ended = [process.communicate(timeout=120)[0].strip() for process in started]
    assert ended == [str(nowhere)] * 3
    assert len(mirror.asked) == 4


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="there is no apt-get here")
def test_debians_package_holds_the_same_bytes(tmp_path: Path) -> None:
    assert _whole(fetching._debian_package(tmp_path))


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="there is no apt-get here")
def test_what_apt_says_is_passed_on(
    nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del nowhere
    settings = tmp_path / "apt.conf"
    settings.write_text('Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "/dev/null";\n')
    monkeypatch.setenv("APT_CONFIG", str(settings))
    monkeypatch.setenv("PATH", os.defpath)
    assert "by apt-get (Unable to locate package dataset-fashion-mnist)" in _refusal()


def test_verify_checks_each_file_of_a_given_folder(good_folder: Path) -> None:
    assert [check.ok for check in verify(good_folder)] == [True] * 4
    (good_folder / f"{TEST_LABELS.name}.gz").unlink()
    wrong = [check for check in verify(good_folder) if not check.ok]
    assert [(check.path.name, check.problem) for check in wrong] == [
        ("t10k-labels-idx1-ubyte.gz", "is missing")
    ]


def test_verify_goes_through_every_place_without_a_folder(nowhere: Path, mirror: Mirror) -> None:
    del mirror
    assert {check.problem for check in verify()} == {"no such folder"}
    fetch()
    assert [check.path.parent for check in verify() if check.ok] == [nowhere] * 4
