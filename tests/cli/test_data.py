"""The commands for the data set, on the real one."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Command, Done


@pytest.fixture(autouse=True)
def _nothing_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No folder of the user's own counts."""
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("BENCH_DATA_DIR", raising=False)


@pytest.fixture
def copied(fashion_mnist_dir: Path, tmp_path: Path) -> Path:
    """A copy of the data set."""
    return Path(shutil.copytree(fashion_mnist_dir, tmp_path / "copied"))


def _lacks_data(done: Done, folder: Path) -> None:
    assert done.code == 5
    assert done.stderr == (
        f"bench: no place holds all of Fashion-MNIST: run bench data fetch --folder {folder}\n"
    )


def test_verify_names_every_file_and_whether_it_is_what_it_should_be(
    command: Command, copied: Path
) -> None:
    done = command("data", "verify", "--folder", copied)
    assert (done.code, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ok"] * 4


def test_verify_prints_json_for_programs(command: Command, copied: Path) -> None:
    rows = json.loads(command("data", "verify", "--folder", copied, "--json").stdout)
    assert [row["ok"] for row in rows] == [True] * 4
    assert all(Path(row["path"]).parent == copied for row in rows)


@pytest.mark.parametrize("harm", ["missing", "truncated", "another"])
def test_verify_exits_5_where_a_file_is_not_what_it_should_be(
    command: Command, copied: Path, harm: str
) -> None:
    victim, other, *_ = sorted(copied.glob("*.gz"))
    if harm == "missing":
        victim.unlink()
    elif harm == "truncated":
        victim.write_bytes(victim.read_bytes()[:1000])
    else:
        shutil.copyfile(other, victim)
    done = command("data", "verify", "--folder", copied)
    _lacks_data(done, copied)
    (bad,) = (line for line in done.stdout.splitlines() if line.startswith("BAD"))
    assert victim.name in bad


def test_verify_exits_5_where_there_is_nothing(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = command("data", "verify", "--folder", tmp_path / "empty")
    _lacks_data(done, tmp_path / "empty")


def test_fetch_finds_what_is_there_and_prints_where(
    command: Command, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA_DIR", str(copied))
    done = command("data", "fetch")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout == f"{copied}\n"


def test_fetch_into_what_is_no_folder_names_every_place_that_it_tried(
    command: Command, tiny: Path
) -> None:
    done = command("data", "fetch", "--folder", tiny)
    assert (done.code, done.stdout) == (5, "")
    assert f"tried the given folder {tiny} (not a folder)" in done.stderr
    assert len(done.stderr.splitlines()) == 1
