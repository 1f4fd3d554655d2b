"""The table of costs has the fixed cost of an epoch and the cost of each example."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.report.page.cost_section import costs_grid
from bench.report.page.page_grid import Grid
from bench.spec.plan import Trial
from tests.support.sample_pages import SWEEP, read
from tests.support.sample_records import NORMS, make_run

COST = {"none": 1e-5, "bn_post": 1.5e-5, "bn_pre": 2e-5}
SIZES = {**SWEEP["matrix"], "examples": [5_500, 55_000, 550_000]}


def linear_epoch_s(trial: Trial, _: int) -> float:
    """Return half a second, a cost per example by norm, and noise by block and arm."""
    v = trial.variant
    used = v.examples // v.global_batch_size * v.global_batch_size
    return (0.5 + COST[v.norm] * used) * (1 + 0.001 * math.sin(trial.block + 3 * trial.order))


def bent_epoch_s(trial: Trial, epoch: int) -> float:
    """Return the same, but twice the time for the middle size."""
    return linear_epoch_s(trial, epoch) * (2 if trial.variant.examples == 55_000 else 1)


def grid(path: Path, epoch_s: Callable[[Trial, int], float]) -> Grid:
    suite = {**SWEEP, "blocks": 8, "matrix": SIZES}
    table = costs_grid("costs", read(make_run(path, suite, epoch_s=epoch_s)))
    assert table is not None
    return table


def cells(table: Grid, row: int) -> dict[str, str]:
    return {column.title: column.cells[row] for column in table.columns}


def test_each_arm_has_its_fixed_and_marginal_cost_beside_its_baselines(
    tmp_path: Path,
) -> None:
    table = grid(tmp_path / "run", linear_epoch_s)
    assert table.size == 4
    row = next(c for c in (cells(table, i) for i in range(4)) if "norm=bn_post" in c["For"])
    expected = {
        "Fixed (ms)": 500,
        "Fixed of the baseline (ms)": 500,
        "Each example (µs)": 15,
        "Each example of the baseline (µs)": 10,
        "Ratio of the latter": 1.5,
    }
    for title, number in expected.items():
        value, bracket, _ = row[title].partition(" [")
        assert float(value) == pytest.approx(number, rel=0.02)
        assert bracket
    assert row["Blocks"] == "8"


def test_the_table_says_how_far_sizes_are_from_a_line(tmp_path: Path) -> None:
    straight, off = grid(tmp_path / "a", linear_epoch_s), grid(tmp_path / "b", bent_epoch_s)
    for part in cells(straight, 0)["Off the line"].split("; "):
        assert float(part.removesuffix(" %")) < 1
    for part in cells(off, 0)["Off the line"].split("; "):
        assert float(part.removesuffix(" %")) > 10
    for part in cells(off, 0)["p"].split("; "):
        assert float(part) < 1e-6


def test_two_sizes_have_no_distance_from_the_line(tmp_path: Path) -> None:
    matrix = {**SIZES, "examples": [5_500, 55_000]}
    suite = {**SWEEP, "blocks": 4, "matrix": matrix}
    table = costs_grid("costs", read(make_run(tmp_path / "run", suite, epoch_s=linear_epoch_s)))
    assert table is not None
    row = cells(table, 0)
    assert (row["Sizes"], row["Off the line"], row["p"]) == ("2", "–; –", "–; –")


def test_there_is_no_table_for_a_single_size(tmp_path: Path) -> None:
    assert costs_grid("costs", read(make_run(tmp_path / "run", NORMS))) is None
