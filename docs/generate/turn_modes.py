"""Compare the modes of turns: how far the ratio of a block varies, and what a precise ratio takes.

Usage:
    turn_modes(TURNS)                   # a table, from a run of each mode and load
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from scipy import special

from bench.analysis.loading.run_frames import RunFrames, read_frames
from bench.analysis.questions.narrow_enough import narrow_enough
from bench.analysis.statistics.intervals import CONFIDENCE, Estimate, geometric_interval
from bench.analysis.summary import summary_of
from bench.records.run_folder import RunFolder
from bench.report.text.number_text import UNKNOWN, duration, interval, number
from bench.report.text.ratio_text import comparison_text
from bench.spec.turn_settings import TurnMode

TURNS = Path("results/published/turns")
MODES: tuple[TurnMode, ...] = ("trial", "epoch", "window")
REFERENCE: TurnMode = "window"
"""The mode whose variance the others are compared with."""
LOADED = (False, True)
"""Whether another process keeps a core busy."""
HALF_WIDTH = 0.02
TITLE = "How much narrower are intervals if arms take turns?"
_MOST_BLOCKS = 1_000_000
_TAIL = (1 - CONFIDENCE) / 2
_HEADERS = (
    "`turns`",
    "Other load",
    "Blocks",
    "Epoch time with batch norm ÷ without",
    "Deviation of a block's ratio (%)",
    "Variance ÷ that of windows",
    "Blocks for ±2 %",
    "Time of a block (s)",
    "Time for ±2 %",
)


@dataclass(frozen=True)
class ModeRow:
    """What the run of a mode says; None where too few blocks say it."""

    mode: TurnMode
    loaded: bool
    blocks: int
    ratio: str
    deviation: float | None
    """Standard deviation of a block's log ratio."""
    df: int
    """Its degrees of freedom."""
    needed_blocks: int | None
    """Blocks for a half width of ``HALF_WIDTH``, if the deviation stays; None above a million."""
    block_s: Estimate | None
    """Geometric mean of the time that all trials of a block take together."""


def folder_name(mode: TurnMode, loaded: bool) -> str:
    """Return the name of the run folder of a mode."""
    return f"{mode}-loaded" if loaded else mode


def turn_section(root: Path) -> str:
    """Return the section of docs/results.md on the runs in ``root``."""
    return f"## {TITLE}\n\n{_TEXT}\n\n{turn_modes(root)}"


def turn_modes(root: Path) -> str:
    """Return the Markdown table of the runs in ``root``, one row a mode and load.

    Raises RunFolderError if one of the six folders is missing or damaged.
    """
    rows = [
        mode_row(RunFolder.open(root / folder_name(mode, loaded)), mode, loaded)
        for loaded in LOADED
        for mode in MODES
    ]
    lines = [_HEADERS, ["---", "---", *["---:"] * (len(_HEADERS) - 2)]]
    lines += [_cells(row, _reference(rows, row.loaded)) for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def mode_row(folder: RunFolder, mode: TurnMode, loaded: bool) -> ModeRow:
    """Read the run of a mode; its number of blocks is that of the project's stopping rule."""
    frames, suite = read_frames(folder), folder.suite()
    aim = {"precision": HALF_WIDTH, "max_blocks": _MOST_BLOCKS}
    look = narrow_enough(folder, suite.model_copy(update=aim))
    return ModeRow(
        mode=mode,
        loaded=loaded,
        blocks=suite.blocks,
        ratio=_ratio(frames),
        deviation=look.deviation,
        df=look.df or 0,
        needed_blocks=look.needed_blocks,
        block_s=_block_s(frames.trials),
    )


def deviation_interval(deviation: float, df: int) -> tuple[float, float]:
    """Return the interval of a standard deviation with ``df`` degrees of freedom, by chi-square."""
    low, high = (
        deviation * math.sqrt(df / float(special.chdtri(df, tail))) for tail in (_TAIL, 1 - _TAIL)
    )
    return low, high


def variance_ratio(
    deviation: float, df: int, other: float, other_df: int
) -> tuple[float, float, float]:
    """Return the ratio of two variances with its F interval, as if they were independent."""
    value = (deviation / other) ** 2
    low, high = (value / float(special.fdtri(df, other_df, p)) for p in (1 - _TAIL, _TAIL))
    return value, low, high


def _reference(rows: Iterable[ModeRow], loaded: bool) -> ModeRow:
    return next(row for row in rows if (row.mode, row.loaded) == (REFERENCE, loaded))


def _ratio(frames: RunFrames) -> str:
    (comparison,) = (
        comparison
        for variant in summary_of(frames).variants
        for comparison in variant.comparisons
        if comparison is not None
    )
    return comparison_text(comparison)


def _block_s(trials: pd.DataFrame) -> Estimate | None:
    totals = trials.groupby("block")["total_s"].sum(min_count=1).dropna()
    return geometric_interval(totals.tolist()) if len(totals) else None


def _cells(row: ModeRow, reference: ModeRow) -> list[str]:
    block_s = row.block_s
    time_s = block_s and row.needed_blocks and block_s.value * row.needed_blocks
    return [
        row.mode,
        "one busy process" if row.loaded else "none",
        str(row.blocks),
        row.ratio,
        _deviation_text(row),
        _variance_text(row, reference),
        UNKNOWN if row.needed_blocks is None else str(row.needed_blocks),
        interval(block_s.value, block_s.low, block_s.high, 3) if block_s else UNKNOWN,
        duration(time_s or None),
    ]


def _deviation_text(row: ModeRow) -> str:
    if row.deviation is None:
        return UNKNOWN
    low, high = deviation_interval(row.deviation, row.df)
    value, low, high = (100 * math.expm1(each) for each in (row.deviation, low, high))
    return interval(value, low, high, 2)


def _variance_text(row: ModeRow, reference: ModeRow) -> str:
    if row.mode == REFERENCE:
        return number(1.0, 1)
    if not row.deviation or not reference.deviation:
        return UNKNOWN
    ratio = variance_ratio(row.deviation, row.df, reference.deviation, reference.df)
    return interval(*ratio, digits=2)


_TEXT = """\
One suite, norm none against batch norm at batch 32, ran in each mode of `turns`: whole trials one
after another, epochs in turns, and windows of steps in turns. The modes took turns as well: each
block ran in all three before the next block, first with nothing else running, then beside a process
that kept a core busy (`python -m tests.perf.turn_mode_runs results/runs/turns --blocks 12
--publish`). The deviation is the standard deviation of a block's log ratio, with its chi-square
interval; the ratio of variances has an F interval, as if the modes were independent. It is also how
many times more blocks a mode needs for the same interval. The number of blocks for ±2 % is that of
the rule that ends `bench run --until 2%`
([methodology.md](methodology.md#blocks-until-ratios-are-precise-stopping)), and the time for ±2 %
is as many times that of a block. The time of a block is the geometric mean of the sum over its
trials, imports and compilation included, without the start of Ray. `bench verify-published --into
results/published/turns` verifies the runs."""
