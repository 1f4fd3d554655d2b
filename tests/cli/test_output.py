"""The advice that the command prints at the end of a run."""

import sys
from pathlib import Path

import pytest

from bench.cli.output import failure_advice, interruption_message, resume_command
from tests.support.sample_records import make_run

RUN = Path("runs/one")


@pytest.fixture(autouse=True)
def _line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "run", "quick", "--set", "epochs=2"])


def test_the_same_command_line_resumes_a_run() -> None:
    assert resume_command(RUN) == "bench run quick --set epochs=2 --out runs/one --resume"


def test_the_message_of_an_interruption_says_how_to_resume(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    message = interruption_message(folder.path)
    assert message == (
        f"interrupted: finished trials are kept; resume with {resume_command(folder.path)}"
    )


def test_the_message_of_an_interruption_names_no_folder_that_is_not_a_run(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path, None):
        message = interruption_message(path)
        assert message == "interrupted: there is no run folder here: run the command again"


def test_failed_trials_can_be_resumed() -> None:
    message = failure_advice(RUN, {"completed", "failed", "out_of_memory"})
    assert message.endswith(f"fix the causes, then {resume_command(RUN)}")


def test_trials_out_of_memory_need_more_than_resuming() -> None:
    message = failure_advice(RUN, {"completed", "out_of_memory"})
    assert "--resume does not repeat" in message
    assert "delete their files in runs/one/trials" in message
