"""Fashion-MNIST is searched in a fixed order of folders."""

import tempfile
from pathlib import Path

import pytest

from bench.datasets.data_folders import data_folders


def _folders(folder: Path | None = None) -> list[Path]:
    return [each.path for each in data_folders(folder)]


def test_places_are_ordered_by_trust(empty_machine: Path, tmp_path: Path) -> None:
    assert _folders() == [
        tmp_path / "debian",
        empty_machine,
        tmp_path / "keras" / "datasets" / "fashion-mnist",
    ]


def test_an_explicit_folder_is_first(empty_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA_DIR", "/named")
    assert _folders()[0] == Path("/named")
    assert _folders(Path("/given"))[0] == Path("/given")
    assert Path("/named") not in _folders(Path("/given"))
    assert empty_machine in _folders()


def test_a_folder_that_is_listed_twice_is_searched_once_at_its_first_position(
    empty_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA_DIR", str(empty_machine))
    assert data_folders()[0].name == "BENCH_DATA_DIR"
    assert _folders().count(empty_machine) == 1


def test_without_variables_the_caches_are_in_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("BENCH_DATA_DIR", "BENCH_CACHE_DIR", "XDG_CACHE_HOME", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path / ".cache" / "trainbench" / "fashion-mnist" in _folders()
    assert tmp_path / ".keras" / "datasets" / "fashion-mnist" in _folders()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert tmp_path / "xdg" / "trainbench" / "fashion-mnist" in _folders()


def test_without_a_home_folder_the_caches_are_in_the_temporary_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("BENCH_DATA_DIR", "BENCH_CACHE_DIR", "XDG_CACHE_HOME", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    temporary = Path(tempfile.gettempdir())
    assert temporary / ".cache" / "trainbench" / "fashion-mnist" in _folders()
    assert temporary / ".keras" / "datasets" / "fashion-mnist" in _folders()
