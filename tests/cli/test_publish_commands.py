"""The commands that publish results and check published ones."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.support.processes import bench
from tests.support.sample_suites import TINY, write_suite

pytestmark = pytest.mark.slow


@pytest.fixture
def published(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    suite = write_suite(tmp_path / "tiny.toml", TINY)
    assert bench("run", suite, "--executor", "simulated", "--out", run).returncode == 0
    published = tmp_path / "published"
    result = bench("publish", run, "tiny", "--into", published)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{published / 'tiny'}\n", "")
    return published


def test_an_unchanged_published_run_is_verified(published: Path) -> None:
    result = bench("verify-published", "--into", published)
    assert (result.returncode, result.stderr) == (0, "")


def test_an_edited_cell_is_an_error_with_its_line(published: Path) -> None:
    table = published / "tiny" / "summary.csv"
    table.write_text(table.read_text().replace("4", "5"))
    for words in (["--into", published], [published / "tiny"]):
        result = bench("verify-published", *words)
        assert result.returncode == 5
        assert result.stderr.startswith(f"bench: {table}:")


def test_an_index_that_lacks_a_run_is_an_error(published: Path) -> None:
    (published / "README.md").write_text("none\n")
    assert bench("verify-published", "--into", published).returncode == 5


def test_an_empty_folder_is_refused_with_the_command_that_publishes(tmp_path: Path) -> None:
    result = bench("verify-published", "--into", tmp_path)
    assert result.returncode == 2
    assert "bench publish RUN NAME" in result.stderr


@pytest.mark.parametrize("words", [["--into", "published"], ["published/tiny"]])
def test_a_killed_publish_is_recovered(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "published/.replacing/old/tiny").mkdir(parents=True)
    command("verify-published", *words)
    assert [path.name for path in (tmp_path / "published").iterdir()] == ["tiny"]
