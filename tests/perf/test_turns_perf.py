"""Compare the modes of turns, epochs in turns with epochs alone, and the ways in which arms start.

    python -m pytest tests/perf/test_turns_perf.py -m perf

It prints tables and judges none, in half an hour on two cores. The targets: intervals of windows in
turns are the narrowest, an epoch in turns takes as long as one alone within 1 %, an arm is ready in
a quarter of the time of a fresh process, and over half of the wall time of `quick` is measured
training. The commands of the modules that it calls do the same with more blocks, and keep what they
measure.
"""

from pathlib import Path

import pytest

from docs.generate.turn_measurements import EpochRow, StartRow, alone_table, start_table
from docs.generate.turn_modes import turn_modes
from tests.perf import readiness, turn_mode_runs, turns_and_alone
from tests.perf.row_file import write_rows
from tests.support.sample_trials import trial_labelled

pytestmark = [pytest.mark.perf, pytest.mark.timeout(3600)]

BLOCKS = 6


def test_the_noise_of_a_block_in_each_mode_of_turns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turn_mode_runs.run_modes(turn_mode_runs.SUITE, tmp_path, BLOCKS)
    with capsys.disabled():
        print(f"\n{turn_modes(tmp_path)}")


def test_epochs_in_turns_over_epochs_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = turns_and_alone.measure_blocks(turns_and_alone.SUITE, BLOCKS, turns_and_alone.PAIRS)
    write_rows(tmp_path / "alone.csv", EpochRow, rows)
    with capsys.disabled():
        print(f"\n{alone_table(tmp_path / 'alone.csv')}")


def test_how_soon_an_arm_is_ready_and_the_share_of_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = trial_labelled("arm", **readiness.NOTEBOOK)
    write_rows(tmp_path / "starts.csv", StartRow, readiness.measure_starts(trial, BLOCKS))
    with capsys.disabled():
        print(f"\n{start_table(tmp_path / 'starts.csv')}")
        print(f"quick: {readiness.wall_time_of_quick(tmp_path / 'quick')}")
