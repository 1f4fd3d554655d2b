"""What an epoch costs without examples and what each adds, as the page's table has it."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.report.page.cost_section import costs_grid
from bench.report.page.page_grid import Grid
from bench.spec.plan import Trial
from tests.support.sample_pages import SWEEP, read
from tests.support.sample_records import NORMS, made_run

COST = {"none": 1e-5, "bn_post": 1.5e-5, "bn_pre": 2e-5}
SIZES = {**SWEEP["matrix"], "examples": [5_500, 55_000, 550_000]}


def on_lines(trial: Trial, _: int) -> float:
    """Half a second, a cost for each example by norm, and a noise of the block's and the arm's."""
    v = trial.variant
    used = v.examples // v.global_batch_size * v.global_batch_size
    return (0.5 + COST[v.norm] * used) * (1 + 0.001 * math.sin(trial.block + 3 * trial.order))


def bent(trial: Trial, epoch: int) -> float:
    """The same, with the middle size half as fast as the line has it."""
    return on_lines(trial, epoch) * (2 if trial.variant.examples == 55_000 else 1)


def grid(path: Path, epoch_s: Callable[[Trial, int], float]) -> Grid:
    suite = {**SWEEP, "blocks": 8, "matrix": SIZES}
    found = costs_grid("costs", read(made_run(path, suite, epoch_s=epoch_s)))
    assert found is not None
    return found


def cells(found: Grid, row: int) -> dict[str, str]:
    return {column.title: column.cells[row] for column in found.columns}


def test_each_arm_has_its_fixed_and_its_marginal_cost_beside_its_baseline_s(
    tmp_path: Path,
) -> None:
    found = grid(tmp_path / "run", on_lines)
    assert found.size == 4
    row = next(c for c in (cells(found, i) for i in range(4)) if "norm=bn_post" in c["For"])
    near = {
        "Fixed (ms)": 500,
        "Fixed of the baseline (ms)": 500,
        "Each example (µs)": 15,
        "Each example of the baseline (µs)": 10,
        "Ratio of the latter": 1.5,
    }
    for title, expected in near.items():
        value, bracket, _ = row[title].partition(" [")
        assert float(value) == pytest.approx(expected, rel=0.02)
        assert bracket
    assert row["Blocks"] == "8"


def test_where_the_sizes_lie_on_no_line_the_table_says_how_far_off(tmp_path: Path) -> None:
    straight, off = grid(tmp_path / "a", on_lines), grid(tmp_path / "b", bent)
    for part in cells(straight, 0)["Off the line"].split("; "):
        assert float(part.removesuffix(" %")) < 1
    for part in cells(off, 0)["Off the line"].split("; "):
        assert float(part.removesuffix(" %")) > 10
    for part in cells(off, 0)["p"].split("; "):
        assert float(part) < 1e-6


def test_of_two_sizes_nothing_is_said_of_the_line(tmp_path: Path) -> None:
    matrix = {**SIZES, "examples": [5_500, 55_000]}
    suite = {**SWEEP, "blocks": 4, "matrix": matrix}
    found = costs_grid("costs", read(made_run(tmp_path / "run", suite, epoch_s=on_lines)))
    assert found is not None
    row = cells(found, 0)
    assert (row["Sizes"], row["Off the line"], row["p"]) == ("2", "–; –", "–; –")


def test_there_is_none_where_one_size_ran_alone(tmp_path: Path) -> None:
    assert costs_grid("costs", read(made_run(tmp_path / "run", NORMS))) is None
