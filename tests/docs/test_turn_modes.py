"""The table of the modes of turns has what the runs and the formulas say."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import RunFolderError
from bench.records.run_folder import RunFolder
from docs.generate.turn_modes import (
    LOADED,
    MODES,
    deviation_interval,
    mode_row,
    turn_modes,
    variance_ratio,
)
from tests.perf.turn_mode_runs import run_modes
from tests.support.sample_suites import TINY

SUITE: dict[str, Any] = {**TINY, "variant": {**TINY["variant"], "epochs": 3}}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    run_modes(SUITE, folder, blocks=2, executor="simulated")
    return folder


def rows(table: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in table.splitlines()]


def test_each_mode_and_load_has_a_row(root: Path) -> None:
    header, _rule, *body = rows(turn_modes(root))
    assert [len(row) for row in body] == [len(header)] * 6
    assert [row[:3] for row in body] == [
        [mode, "one busy process" if loaded else "none", "2"] for loaded in LOADED for mode in MODES
    ]
    assert [row[5] for row in body if row[0] == "window"] == ["1", "1"]


def test_a_block_takes_the_time_of_all_its_trials(root: Path, tmp_path: Path) -> None:
    run = shutil.copytree(root / "window", tmp_path / "window")
    for file in (run / "trials").glob("*.json"):
        record = json.loads(file.read_text())
        record["measures"]["total_s"] = {"none": 3.0, "bn_post": 5.0}[
            record["trial"]["variant"]["norm"]
        ]
        file.write_text(json.dumps(record))
    row = mode_row(RunFolder.open(run), "window", loaded=False)
    assert row.block_s is not None
    assert row.block_s.value == pytest.approx(3.0 + 5.0)
    assert (row.blocks, row.df) == (2, 1)


def test_a_run_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="trial"):
        turn_modes(tmp_path)


def test_a_deviation_has_its_chi_square_interval() -> None:
    # Chi-square of 9 degrees of freedom is below 2.700 and above 19.023 in 2.5 % of cases each.
    low, high = deviation_interval(0.03, 9)
    assert low == pytest.approx(0.03 * math.sqrt(9 / 19.023), rel=1e-4)
    assert high == pytest.approx(0.03 * math.sqrt(9 / 2.700), rel=1e-4)


def test_a_ratio_of_variances_has_its_f_interval() -> None:
    # F of 9 and 9 degrees of freedom is above 4.026 in 2.5 % of cases.
    value, low, high = variance_ratio(0.3, 9, 0.03, 9)
    assert value == pytest.approx(100.0)
    assert (low, high) == pytest.approx((100 / 4.026, 100 * 4.026), rel=1e-3)


Deviations = st.floats(0.001, 1.0)
Degrees = st.integers(1, 200)


@given(Deviations, Degrees, Deviations, Degrees)
def test_a_ratio_of_variances_is_the_inverse_of_that_the_other_way(
    s: float, df: int, other: float, other_df: int
) -> None:
    value, low, high = variance_ratio(s, df, other, other_df)
    inverse = variance_ratio(other, other_df, s, df)
    assert (1 / value, 1 / high, 1 / low) == pytest.approx(inverse, rel=1e-6)
    assert low < value < high
