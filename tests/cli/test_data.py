"""The commands for the data set, with the real data."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Command, CommandResult


@pytest.fixture(autouse=True)
def _nothing_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the user's own folders."""
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("BENCH_DATA_DIR", raising=False)


@pytest.fixture
def copied(fashion_mnist_dir: Path, tmp_path: Path) -> Path:
    """A copy of the data set."""
    return Path(shutil.copytree(fashion_mnist_dir, tmp_path / "copied"))


def _lacks_data(result: CommandResult, folder: Path) -> None:
    assert result.code == 5
    assert result.stderr == (
        f"bench: no folder has all of Fashion-MNIST: run bench data fetch --folder {folder}\n"
    )


def test_verify_lists_every_file_with_its_state(command: Command, copied: Path) -> None:
    result = command("data", "verify", "--folder", copied)
    assert (result.code, result.stderr) == (0, "")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["ok"] * 4


def test_verify_prints_json_for_programs(command: Command, copied: Path) -> None:
    rows = json.loads(command("data", "verify", "--folder", copied, "--json").stdout)
    assert [row["ok"] for row in rows] == [True] * 4
    assert all(Path(row["path"]).parent == copied for row in rows)


@pytest.mark.parametrize("harm", ["missing", "truncated", "another"])
def test_verify_exits_5_for_a_missing_or_damaged_file(
    command: Command, copied: Path, harm: str
) -> None:
    victim, other, *_ = sorted(copied.glob("*.gz"))
    if harm == "missing":
        victim.unlink()
    elif harm == "truncated":
        victim.write_bytes(victim.read_bytes()[:1000])
    else:
        shutil.copyfile(other, victim)
    result = command("data", "verify", "--folder", copied)
    _lacks_data(result, copied)
    (bad,) = (line for line in result.stdout.splitlines() if line.startswith("BAD"))
    assert victim.name in bad


def test_verify_exits_5_for_an_empty_folder(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = command("data", "verify", "--folder", tmp_path / "empty")
    _lacks_data(result, tmp_path / "empty")


def test_fetch_finds_a_copy_and_prints_its_folder(
    command: Command, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA_DIR", str(copied))
    result = command("data", "fetch")
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout == f"{copied}\n"


def test_fetch_into_a_file_names_every_folder_that_it_tried(command: Command, tiny: Path) -> None:
    result = command("data", "fetch", "--folder", tiny)
    assert (result.code, result.stdout) == (5, "")
    assert f"tried the given folder {tiny} (not a folder)" in result.stderr
    assert len(result.stderr.splitlines()) == 1
