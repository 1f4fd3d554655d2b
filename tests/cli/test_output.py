"""What the command advises once a run has ended."""

import sys
from pathlib import Path

import pytest

from bench.cli.output import interruption, remedy, resume_command
from tests.support.sample_records import made_run

RUN = Path("runs/one")


@pytest.fixture(autouse=True)
def _line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "run", "quick", "--set", "epochs=2"])


def test_a_run_is_gone_on_with_by_the_same_line() -> None:
    assert resume_command(RUN) == "bench run quick --set epochs=2 --out runs/one --resume"


def test_an_interrupted_run_is_gone_on_with_where_it_has_a_folder(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run")
    said = interruption(folder.path)
    assert said == (
        f"interrupted: what had finished is kept; go on by {resume_command(folder.path)}"
    )


def test_no_folder_is_named_that_is_not_there_or_no_run(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path, None):
        said = interruption(path)
        assert said == "interrupted: no run folder was made here: call it again"


def test_what_failed_can_be_tried_again() -> None:
    said = remedy(RUN, {"completed", "failed", "out_of_memory"})
    assert said.endswith(f"mend what they name, then {resume_command(RUN)}")


def test_resuming_alone_does_nothing_about_memory() -> None:
    said = remedy(RUN, {"completed", "out_of_memory"})
    assert "stays so when resumed" in said
    assert "delete those trials' files in runs/one/trials" in said
