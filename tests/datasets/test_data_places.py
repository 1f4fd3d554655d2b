import tempfile
from pathlib import Path

import pytest

from bench.datasets.data_places import places


def _folders(folder: Path | None = None) -> list[Path]:
    return [place.folder for place in places(folder)]


def test_places_come_in_order_of_trust(nowhere: Path, tmp_path: Path) -> None:
    assert _folders() == [
        tmp_path / "debian",
        nowhere,
        tmp_path / "keras" / "datasets" / "fashion-mnist",
    ]


def test_a_named_folder_comes_first(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA_DIR", "/named")
    assert _folders()[0] == Path("/named")
    assert _folders(Path("/given"))[0] == Path("/given")
    assert Path("/named") not in _folders(Path("/given"))
    assert nowhere in _folders()


def test_a_folder_named_twice_is_looked_at_once_and_early(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA_DIR", str(nowhere))
    assert places()[0].name == "BENCH_DATA_DIR"
    assert _folders().count(nowhere) == 1


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


def test_a_user_without_a_home_folder_has_caches_among_temporary_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("BENCH_DATA_DIR", "BENCH_CACHE_DIR", "XDG_CACHE_HOME", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    own = Path(tempfile.gettempdir())
    assert own / ".cache" / "trainbench" / "fashion-mnist" in _folders()
    assert own / ".keras" / "datasets" / "fashion-mnist" in _folders()
