"""Estimate how far a block's ratios vary over a whole run, and how many blocks a precision takes.

Usage:
    noise = run_noise([(baseline_id, comparison), ...], half_width=0.02)
    noise.deviation, noise.df, noise.further_blocks

All comparisons of a run share one deviation, that of blocks in a session (``pooled_deviation``).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from bench.analysis.comparison.compare import Comparison
from bench.analysis.statistics.intervals import MIN_DF, blocks_for_half_width
from bench.analysis.statistics.pooled_deviation import pooled_deviation

HALF_WIDTH = 0.02
"""The half width of an interval for which a report says how many blocks it takes."""


@dataclass(frozen=True, slots=True)
class RunNoise:
    """The noise of a run's comparisons."""

    deviation: float
    """Standard deviation of a block's log ratio, within a session."""
    df: int
    """Its degrees of freedom."""
    half_width: float
    """The relative half width of an interval that ``further_blocks`` refers to."""
    further_blocks: int | None
    """Blocks to add to the comparison that has the fewest; 0 if it needs none. None with fewer than
    ``MIN_DF`` degrees of freedom, or above a million."""


def run_noise(
    comparisons: Iterable[tuple[str, Comparison]], half_width: float = HALF_WIDTH
) -> RunNoise | None:
    """Pool the residuals of ``comparisons``, each with the id of its baseline.

    Returns None if no comparison has two blocks in a session.
    """
    compared = [(baseline, c) for baseline, c in comparisons if c.block_ratios]
    rows = pd.DataFrame(
        [
            (pair, baseline, each.block, each.part, each.session, math.log(each.ratio))
            for pair, (baseline, comparison) in enumerate(compared)
            for each in comparison.block_ratios
        ],
        columns=["pair", "baseline_id", "block", "part", "session", "log"],
    )
    pooled = pooled_deviation(rows) if len(rows) else None
    if pooled is None:
        return None
    total = blocks_for_half_width(pooled.value, half_width) if pooled.df >= MIN_DF else None
    fewest = min(len(comparison.block_ratios) for _, comparison in compared)
    return RunNoise(
        deviation=pooled.value,
        df=pooled.df,
        half_width=half_width,
        further_blocks=None if total is None else max(0, total - fewest),
    )
