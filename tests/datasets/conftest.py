"""Fixtures: a machine without the dataset, and a copy that a test may damage."""

from pathlib import Path

import pytest

from bench.datasets import data_folders
from bench.datasets.fashion_mnist import FILES, DataFolder, read_folder


@pytest.fixture
def empty_machine(fashion_mnist_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without data, network and apt-get; returns the folder of the cache."""
    del fashion_mnist_dir  # located before every source is removed
    monkeypatch.delenv("BENCH_DATA_DIR", raising=False)
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(data_folders, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setenv("PATH", "")
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    return tmp_path / "cache" / "fashion-mnist"


@pytest.fixture
def good_folder(fashion_mnist_dir: Path, tmp_path: Path) -> Path:
    """Links to valid files, under their gzipped names; a test may damage them."""
    folder = tmp_path / "good"
    folder.mkdir()
    for file, check in zip(
        FILES, read_folder(DataFolder("", fashion_mnist_dir)).checks, strict=True
    ):
        (folder / f"{file.name}.gz").symlink_to(check.path)
    return folder
