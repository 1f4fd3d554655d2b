"""The dataset is fetched once, checked, and never replaced by damaged files."""

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
from bench.datasets.fashion_mnist import TEST_LABELS, TRAIN_IMAGES, DataFolder, read_folder
from bench.datasets.fetch import fetch, find_or_fetch, verify
from bench.errors import DatasetError


@dataclass
class Mirror:
    """The files of a local HTTP server, and the paths that were requested."""

    folder: Path
    url: str = ""
    requests: list[str] = field(default_factory=list)

    def damage(self, name: str, content: bytes) -> None:
        (self.folder / f"{name}.gz").unlink()
        (self.folder / f"{name}.gz").write_bytes(content)


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, mirror: Mirror) -> None:
        self.mirror = mirror
        super().__init__(*args, directory=str(mirror.folder))

    def log_request(self, *_: Any) -> None:
        self.mirror.requests.append(self.path)

    def log_error(self, *_: Any) -> None:
        pass


@pytest.fixture
def mirror(
    empty_machine: Path, good_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Mirror]:
    """A local mirror, which is the only working source."""
    del empty_machine
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


def _complete(folder: Path) -> bool:
    return read_folder(DataFolder("", folder)).complete


def _error(folder: Path | None = None) -> str:
    with pytest.raises(DatasetError) as error:
        fetch(folder)
    return str(error.value)


def test_the_real_dataset_is_found_or_fetched(fashion_mnist_dir: Path) -> None:
    assert _complete(fashion_mnist_dir)


def test_if_nothing_works_one_line_names_every_attempt_and_the_remedy(
    empty_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "named"))
    message = _error()
    assert "\n" not in message
    for folder in (tmp_path / "named", tmp_path / "debian", empty_machine, tmp_path / "keras"):
        assert str(folder) in message
    assert "download from Keras's mirror (" in message
    assert "by apt-get (apt-get not found)" in message
    assert message.endswith("put the four files in a folder and name it in BENCH_DATA_DIR")


def test_a_damaged_place_is_skipped_for_a_later_one(
    empty_machine: Path, good_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / f"{TRAIN_IMAGES.name}.gz").write_bytes(b"\x1f\x8b nothing")
    monkeypatch.setenv("BENCH_DATA_DIR", str(damaged))
    assert "train-images-idx3-ubyte.gz is damaged" in _error()
    shutil.copytree(good_folder, empty_machine, dirs_exist_ok=True)
    assert find_or_fetch().folder.path == empty_machine
    assert fetch() == empty_machine


def test_a_download_fills_the_cache(empty_machine: Path, mirror: Mirror) -> None:
    content = find_or_fetch()
    assert content.complete
    assert content.folder.path == empty_machine
    assert all(
        check.path.parent == empty_machine and check.path.is_file() for check in content.checks
    )
    assert _complete(empty_machine)
    assert len(mirror.requests) == 4
    assert not list(empty_machine.glob(".fetching-*"))


def test_a_damaged_cache_is_repaired(empty_machine: Path, mirror: Mirror) -> None:
    find_or_fetch()
    (empty_machine / f"{TEST_LABELS.name}.gz").write_bytes(b"")
    assert not _complete(empty_machine)
    assert fetch() == empty_machine
    assert _complete(empty_machine)
    assert len(mirror.requests) == 8


def test_existing_data_is_not_fetched_again_unless_forced(
    empty_machine: Path, mirror: Mirror
) -> None:
    fetch()
    fetch()
    assert len(mirror.requests) == 4
    assert fetch(force=True) == empty_machine
    assert len(mirror.requests) == 8


def test_a_forced_fetch_that_fails_keeps_the_old_files(empty_machine: Path, mirror: Mirror) -> None:
    fetch()
    mirror.damage(TEST_LABELS.name, b"other")
    with pytest.raises(DatasetError, match=r"t10k-labels-idx1-ubyte.* is truncated"):
        fetch(force=True)
    assert _complete(empty_machine)


def test_wrong_bytes_from_the_network_never_reach_the_cache(
    empty_machine: Path, mirror: Mirror
) -> None:
    mirror.damage(TEST_LABELS.name, bytes(10_008))
    assert "mirror (t10k-labels-idx1-ubyte.gz is not the right file" in _error()
    assert [path.name for path in empty_machine.iterdir()] == [".lock"]


def test_a_file_that_the_mirror_lacks_is_reported(empty_machine: Path, mirror: Mirror) -> None:
    del empty_machine
    (mirror.folder / f"{TEST_LABELS.name}.gz").unlink()
    assert "mirror (HTTP Error 404: File not found)" in _error()


def test_a_given_folder_is_filled_with_a_copy_from_another_folder(
    empty_machine: Path, good_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "k"))
    shutil.copytree(good_folder, tmp_path / "k" / "datasets" / "fashion-mnist")
    assert fetch(tmp_path / "mine") == tmp_path / "mine"
    assert _complete(tmp_path / "mine")
    assert not empty_machine.exists()


def test_folders_of_a_killed_process_are_removed(empty_machine: Path, mirror: Mirror) -> None:
    del mirror
    (empty_machine / ".fetching-stale").mkdir(parents=True)
    fetch()
    assert not (empty_machine / ".fetching-stale").exists()


def test_a_cache_that_cannot_be_written_is_reported(
    empty_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del empty_machine
    (tmp_path / "file").touch()
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "file"))
    message = _error()
    assert f"the cache {tmp_path / 'file' / 'fashion-mnist'} (cannot be written: " in message
    assert "name a writable folder in BENCH_CACHE_DIR" in message


def test_of_processes_that_fetch_at_once_one_downloads_for_all(
    empty_machine: Path, mirror: Mirror
) -> None:
    program = (
        "import sys; from bench.datasets import data_folders, fetch; from pathlib import Path; "
        "fetch._MIRROR = sys.argv[1]; data_folders.DEBIAN_FOLDER = Path('/nonexistent'); "
        "content = fetch.find_or_fetch(); assert content.complete; print(content.folder.path)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, mirror.url], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    folders = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert folders == [str(empty_machine)] * 3
    assert len(mirror.requests) == 4


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt-get, Debian's")
def test_debians_package_holds_the_same_bytes(tmp_path: Path) -> None:
    assert _complete(fetching._debian_package(tmp_path))


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt-get, Debian's")
def test_the_message_of_apt_is_reported(
    empty_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del empty_machine
    settings = tmp_path / "apt.conf"
    settings.write_text('Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "/dev/null";\n')
    monkeypatch.setenv("APT_CONFIG", str(settings))
    monkeypatch.setenv("PATH", os.defpath)
    assert "by apt-get (Unable to locate package dataset-fashion-mnist)" in _error()


def test_verify_checks_each_file_of_a_given_folder(good_folder: Path) -> None:
    assert [check.ok for check in verify(good_folder)] == [True] * 4
    (good_folder / f"{TEST_LABELS.name}.gz").unlink()
    failed = [check for check in verify(good_folder) if not check.ok]
    assert [(check.path.name, check.problem) for check in failed] == [
        ("t10k-labels-idx1-ubyte.gz", "is missing")
    ]


def test_verify_checks_every_place_without_a_folder(empty_machine: Path, mirror: Mirror) -> None:
    del mirror
    assert {check.problem for check in verify()} == {"no such folder"}
    fetch()
    assert [check.path.parent for check in verify() if check.ok] == [empty_machine] * 4
