"""Write the section of docs/performance.md on turns and on how fast arms start.

Usage:
    make results                # python -m docs.generate.turn_measurements docs/performance.md

The section has the tables that the published measurements give. Commands in `tests/perf` write
these: a row for each trial or start, in a CSV file.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.analysis.statistics.intervals import Estimate, geometric_interval, paired_ratio
from bench.analysis.summary import summarize
from bench.report.text.number_text import interval, number
from bench.report.text.report_header import wall_time_text
from docs.generate.turn_modes import TURNS

HEADING = "## Turns and starts\n"
"""The section goes from here to the end of the page."""
ALONE_FILE, STARTS_FILE = "alone.csv", "starts.csv"
START_TITLES = {
    "fresh": "a process that imports TensorFlow and compiles, as each trial did before",
    "spawned": "an interpreter that the preloader starts where it must not fork",
    "forked": "a process that the preloader forks",
    "kept": "the same, and XLA finds the programs of an earlier block",
    "preloader": "the preloader itself, once a block",
}
REFERENCE = "fresh"


@dataclass(frozen=True)
class EpochRow:
    """An epoch that a process trained in turns with another ("window") or alone ("trial")."""

    global_batch_size: int
    block: int
    arm: str
    pair: int
    """Both epochs of a pair follow each other."""
    turns: str
    epoch_s: float
    waited_s: float
    """For how long an arm waited while the other had its turn, both arms together."""
    waiting_cpu_s: float
    """CPU time of the process that waited."""


@dataclass(frozen=True)
class StartRow:
    """How long a start took."""

    round: int
    start: str
    """A key of ``START_TITLES``."""
    seconds: float


def alone_table(file: Path) -> str:
    """Return the table of epochs in turns over epochs alone, one row a batch size."""
    rows = pd.read_csv(file)
    lines = [
        "| Batch | Blocks | Epoch in turns ÷ alone (wanted: 0.99 to 1.01) "
        "| CPU of a waiting arm (ms per s) |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for batch, of_batch in rows.groupby("global_batch_size"):
        ratio = in_turns_over_alone(of_batch)
        cpu = 1000 * of_batch["waiting_cpu_s"].sum() / of_batch["waited_s"].sum()
        lines.append(f"| {batch} | {ratio.n} | {_text(ratio)} | {number(cpu, 2)} |")
    return "\n".join(lines)


def in_turns_over_alone(rows: pd.DataFrame) -> Estimate:
    """Return the ratio of epoch times in turns to those alone, with its interval over blocks.

    A block's value is the median over its pairs of the log ratio.
    """
    times = rows.pivot(index=["block", "pair"], columns="turns", values="epoch_s")
    logs = (times["window"] / times["trial"]).dropna().map(math.log)
    return geometric_interval([math.exp(log) for log in logs.groupby("block").median()])


def start_table(file: Path) -> str:
    """Return the table of starts: seconds until an arm is ready, and their ratio to a fresh one."""
    seconds = pd.read_csv(file).pivot(index="round", columns="start", values="seconds").dropna()
    lines = [
        "| What starts | Rounds | Seconds until ready | ÷ before (wanted: 0.25) |",
        "| --- | ---: | ---: | ---: |",
    ]
    for start, title in START_TITLES.items():
        times, before = seconds[start].tolist(), seconds[REFERENCE].tolist()
        ratio = paired_ratio(times, before)
        of_before = "1" if start == REFERENCE else interval(ratio.value, ratio.low, ratio.high, 2)
        lines.append(
            f"| {title} | {len(times)} | {_text(geometric_interval(times))} | {of_before} |"
        )
    return "\n".join(lines)


def section(root: Path) -> str:
    """Return the section that the published runs and the measurements in ``root``/turns give."""
    wall = summarize(root / "quick").wall
    return "\n\n".join(
        [
            HEADING.rstrip(),
            _TURNS,
            _table(root / TURNS.name / ALONE_FILE, alone_table),
            _STARTS,
            _table(root / TURNS.name / STARTS_FILE, start_table),
            f"The published run of `quick` took {wall_time_text(wall)}.",
        ]
    )


def with_section(page: str, root: Path) -> str:
    """Return the page with its last section, that under ``HEADING``, written anew."""
    return f"{page.partition(HEADING)[0]}{section(root)}\n"


def _table(file: Path, table: Callable[[Path], str]) -> str:
    return table(file) if file.exists() else "Not measured yet."


def _text(estimate: Estimate) -> str:
    return interval(estimate.value, estimate.low, estimate.high, 3)


_TURNS = """\
`make results` writes this section from [results/published](../results/published), and a test checks
that it is up to date. [results.md](results.md) compares the modes of turns.

An arm should train in its turns as it would alone, and wait without using a core. In each block
one arm, norm none or batch norm, trained pairs of epochs: one in turns with the other arm, and one
after that arm's process had ended, in alternating order. A block's value is the median over its
pairs of the log ratio. Brackets are 95 % intervals over blocks. The CPU time of an arm that waits
is the kernel's count for all of its threads
(`python -m tests.perf.turns_and_alone results/published/turns/alone.csv`):"""
_STARTS = """\
An arm is ready when its data is loaded and its program compiled, so that its first window can
start. Every round has each start once, in balanced order; the arm is the notebook's network with
batch norm (`python -m tests.perf.readiness results/published/turns/starts.csv`, which also runs
`quick`):"""


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(with_section(target.read_text("utf-8"), TURNS.parent), "utf-8")
