"""The section on turns and starts has what the files of measurements say."""

from pathlib import Path

import pandas as pd
import pytest

from bench.analysis.statistics.intervals import geometric_interval
from docs.generate.turn_measurements import (
    ALONE_FILE,
    START_TITLES,
    STARTS_FILE,
    EpochRow,
    StartRow,
    alone_table,
    in_turns_over_alone,
    section,
    start_table,
    with_section,
)
from tests.perf.row_file import write_rows
from tests.support.paths import ROOT

PUBLISHED = ROOT / "results/published"
IN_TURNS = {0: (1.02, 1.04, 9.0), 1: (1.00, 1.02, 0.5), 2: (0.98, 1.00, 0.99)}
"""By block: the epoch in turns over that alone, in each pair."""
FACTORS = {"fresh": 1.0, "spawned": 1.1, "forked": 0.25, "kept": 0.1, "preloader": 0.7}
"""The seconds of each start over those of a fresh process."""


def epoch_rows(batch: int = 32) -> list[EpochRow]:
    rows = []
    for block, ratios in IN_TURNS.items():
        for pair, ratio in enumerate(ratios):
            rows.append(EpochRow(batch, block, "none", pair, "window", 0.5 * ratio, 2.0, 0.001))
            rows.append(EpochRow(batch, block, "none", pair, "trial", 0.5, 0.0, 0.0))
    return rows


def start_rows() -> list[StartRow]:
    return [StartRow(n, start, f * (4 + n)) for n in range(3) for start, f in FACTORS.items()]


def write_all(folder: Path) -> None:
    write_rows(folder / ALONE_FILE, EpochRow, [*epoch_rows(32), *epoch_rows(512)])
    write_rows(folder / STARTS_FILE, StartRow, start_rows())


def test_the_page_is_up_to_date() -> None:
    page = (ROOT / "docs/performance.md").read_text("utf-8")
    assert page == with_section(page, PUBLISHED), "make results"
    assert page.index("## Turns and starts") > 0


def test_a_block_s_ratio_is_the_median_over_its_pairs() -> None:
    ratio = in_turns_over_alone(pd.DataFrame(epoch_rows()))
    expected = geometric_interval([1.04, 1.00, 0.99])
    assert (ratio.value, ratio.low, ratio.high, ratio.n) == pytest.approx(
        (expected.value, expected.low, expected.high, 3)
    )


def test_each_batch_has_a_row_with_the_cpu_of_waiting_arms(tmp_path: Path) -> None:
    write_all(tmp_path)
    *_, small, large = alone_table(tmp_path / ALONE_FILE).splitlines()
    assert small.startswith("| 32 | 3 | 1.01 [0.")
    assert small.endswith("| 0.50 |")  # 1 ms in 2 s
    assert large.startswith("| 512 | 3 |")


def test_each_start_has_its_time_over_that_of_a_fresh_process(tmp_path: Path) -> None:
    write_all(tmp_path)
    _header, _rule, *rows = start_table(tmp_path / STARTS_FILE).splitlines()
    cells = {row.split(" | ")[0].strip("| "): row.strip("| ").split(" | ") for row in rows}
    assert list(cells) == list(START_TITLES.values())
    assert {float(row[3].split()[0]) for row in cells.values()} == {1, *FACTORS.values()}
    assert [row[1] for row in cells.values()] == ["3"] * 5
    assert cells[START_TITLES["forked"]][3].startswith("0.25")


def test_what_is_not_measured_yet_says_so(tmp_path: Path) -> None:
    (tmp_path / "quick").symlink_to(PUBLISHED / "quick")
    assert section(tmp_path).count("Not measured yet.") == 2
    write_all(tmp_path / "turns")
    assert "Not measured yet." not in section(tmp_path)
    assert "| 512 | 3 |" in section(tmp_path)


def test_a_section_that_is_written_again_stays_the_same(tmp_path: Path) -> None:
    (tmp_path / "quick").symlink_to(PUBLISHED / "quick")
    page = with_section("# Title\n\n## Turns and starts\nold\n", tmp_path)
    assert page.startswith("# Title\n\n## Turns and starts\n\n")
    assert "of last year" not in page
    assert with_section(page, tmp_path) == page
