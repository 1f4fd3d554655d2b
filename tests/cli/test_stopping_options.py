"""The options --until and --max-time: how they are written, and what a run makes of them."""

import json
import shlex
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

import bench
from bench.cli.stopping_options import parse_precision, parse_time
from bench.records.run_folder import RunFolder
from tests.cli.conftest import Command, error_line

SIMULATED = ("--executor", "simulated", "--out", "made")


@pytest.mark.parametrize(
    ("text", "precision"), [("2%", 0.02), ("2 %", 0.02), ("0.02", 0.02), ("1.5%", 0.015)]
)
def test_a_precision_is_a_percentage_or_a_share(text: str, precision: float) -> None:
    assert parse_precision(text) == pytest.approx(precision)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1200), ("1.5h", 5400), ("20 m", 1200)]
)
def test_a_time_has_a_unit(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@given(st.floats(1e-6, 0.99))
def test_a_precision_is_read_as_it_is_written(precision: float) -> None:
    assert parse_precision(f"{precision:.9f}") == pytest.approx(precision, abs=1e-9)
    assert parse_precision(f"{100 * precision:.9f}%") == pytest.approx(precision, abs=1e-9)


@pytest.mark.parametrize(
    "text", ["", "0", "0%", "1", "100%", "-2%", "2", "two", "nan", "2%%", "٢%"]
)
def test_another_precision_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"write 2% or 0\.02"):
        parse_precision(text)


@pytest.mark.parametrize(
    "text", ["", "20", "0m", "-1s", "20 minutes", "٢m", "1e400h", "9" * 400 + "h"]
)
def test_another_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"write 90s, 20m or 1\.5h"):
        parse_time(text)


def test_a_run_until_a_precision_says_which_rule_ended_it(command: Command, tiny: Path) -> None:
    result = command("run", tiny, *SIMULATED, "--until", "5%")
    assert result.code == 0, result.stderr
    assert "The run ended after 6 blocks, when ratios were precise to ±5.0 %." in result.stdout
    assert len(bench.load_trials("made")) == 12


def test_with_json_the_last_look_is_in_the_results(command: Command, tiny: Path) -> None:
    words = ("run", tiny, *SIMULATED, "--until=0.001", "--set", "max_blocks=8", "--max-time=1h")
    stopping = json.loads(command(*words, "--json").stdout)["results"]["stopping"]
    assert (stopping["rule"], stopping["blocks"]) == ("max_blocks", 8)
    assert (stopping["precision"], stopping["max_time_s"]) == (0.001, 3600.0)
    assert stopping["confidence"] == 0.97
    without = json.loads(command("run", tiny, *SIMULATED[:2], "--json").stdout)
    assert without["results"]["stopping"] is None


def test_resuming_with_the_same_options_runs_nothing(command: Command, tiny: Path) -> None:
    words = ("run", tiny, *SIMULATED, "--until", "5%")
    command(*words)
    before = RunFolder.open("made").info()
    assert command(*words, "--resume").code == 0
    assert RunFolder.open("made").info() == before
    refused = error_line(command("run", tiny, *SIMULATED, "--resume"), 2)
    assert "precision: not set here, 0.05 in the run folder" in refused


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--until 0%", "'--until': '0%' is not above 0 and below 100 %: write 2% or 0.02"),
        ("--until fast", "'fast' is not above 0 and below 100 %"),
        (
            "--until 2% --max-time 20",
            "'--max-time': '20' is not a time above 0: write 90s, 20m or 1.5h",
        ),
        ("--max-time 20m", "--max-time needs a precision: add --until 2%"),
        ("--set precision=0", "precision cannot be 0: it should be above 0"),
        ("--until 2% --set max_blocks=5", "max_blocks cannot be 5: it should be 6 or more"),
    ],
)
def test_an_option_without_a_meaning_is_refused_in_one_line(
    command: Command, tiny: Path, words: str, reason: str
) -> None:
    assert reason in error_line(command("run", tiny, *SIMULATED, *shlex.split(words)), 2)
    assert not Path("made").exists()


def test_a_plan_says_what_a_precision_means_for_the_time(command: Command, tiny: Path) -> None:
    shown = command("plan", tiny, "--set", "precision=0.02", "--set", "max_blocks=12").stdout
    assert "2 variants, 6 blocks, 12 trials" in shown
    assert "until every ratio is precise to ±2.0 %, up to 12 in all (max_blocks)" in shown
    assert "precise" not in command("plan", tiny).stdout
    many = command("plan", tiny, "--set", "precision=0.02", "--blocks", "40").stdout
    assert "The precision adds no blocks: 40 are as many as max_blocks allows." in many
    alone = command("plan", tiny, "--set", "precision=0.02", "--set", "norm=none").stdout
    assert "The precision adds no blocks: nothing is compared." in alone
