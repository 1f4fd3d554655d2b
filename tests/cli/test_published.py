"""The commands that publish results and check what was published."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.processes import bench
from tests.suites_made import TINY, written


@pytest.fixture
def place(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    suite = written(tmp_path / "tiny.toml", TINY)
    assert bench("run", suite, "--executor", "simulated", "--out", run).returncode == 0
    place = tmp_path / "published"
    done = bench("publish", run, "tiny", "--into", place)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{place / 'tiny'}\n", "")
    return place


def test_what_the_records_give_is_verified(place: Path) -> None:
    done = bench("verify-published", "--into", place)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_cell_that_was_edited_is_an_error_that_names_its_line(place: Path) -> None:
    table = place / "tiny" / "summary.csv"
    table.write_text(table.read_text().replace("4", "5"))
    for words in (["--into", place], [place / "tiny"]):
        done = bench("verify-published", *words)
        assert done.returncode == 5
        assert done.stderr.startswith(f"bench: {table}:")


def test_a_list_that_lacks_a_run_is_an_error(place: Path) -> None:
    (place / "README.md").write_text("none\n")
    assert bench("verify-published", "--into", place).returncode == 5


def test_where_nothing_is_published_the_user_is_told_how_to(tmp_path: Path) -> None:
    done = bench("verify-published", "--into", tmp_path)
    assert done.returncode == 2
    assert "bench publish RUN NAME" in done.stderr


@pytest.mark.parametrize("words", [["--into", "published"], ["published/tiny"]])
def test_what_a_killed_publish_left_is_put_back(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "published/.replacing/old/tiny").mkdir(parents=True)
    command("verify-published", *words)
    assert [path.name for path in (tmp_path / "published").iterdir()] == ["tiny"]
