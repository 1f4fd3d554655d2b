"""Decide whether a run's intervals are narrow enough, or how many blocks would make them so.

Usage:
    stopping = decide(log_ratios(trials, pairs), pairs, blocks=8, precision=0.02, max_blocks=30)
    stopping.rule                    # "precision", or None: go on
    stopping.further_blocks

A run looks at its ratios after 6 blocks, and then after every second one. It ends when every
comparison has 6 blocks that can be used and is narrow enough. The width is that of a t interval
whose deviation is pooled over all comparisons: after 6 blocks it is known far better than that of
each. The run stops on this width and never on significance: a run that added blocks until an
interval excludes 1 would find a difference where there is none. The published interval of each
comparison has its own deviation. A run of few comparisons stops early where the pooled deviation is
too small by chance, so its intervals have a higher nominal confidence. docs/methodology.md has the
simulated coverage.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.statistics.intervals import CONFIDENCE, t_quantile
from bench.analysis.statistics.pooled_deviation import (
    PooledDeviation,
    pooled_deviation,
    residuals,
)
from bench.records.stopping_record import Rule, Stopping
from bench.spec.pairing import Pair
from bench.spec.suite import FEWEST_BLOCKS_FOR_PRECISION

_Counts = np.ndarray[Any, np.dtype[np.int64]]

_STEP_BLOCKS = 2
_CONFIDENCE_OF_FEW = {1: 0.97, 2: 0.96, 3: 0.96}
"""Nominal confidence by the number of comparisons that gives 95 % coverage."""
_MAX_BLOCKS = 1_000_000


def confidence_of(comparisons: int) -> float:
    """Return the nominal confidence at which intervals of so many comparisons cover 95 %."""
    return _CONFIDENCE_OF_FEW.get(comparisons, CONFIDENCE)


def decide(
    ratios: pd.DataFrame, pairs: Sequence[Pair], *, blocks: int, precision: float, max_blocks: int
) -> Stopping:
    """Decide after ``blocks`` blocks whether to add more.

    Args:
        ratios: rows of ``comparison.compare.log_ratios`` for ``pairs``.
        pairs: every comparison of the run. One with fewer than half of its blocks is left out.
        blocks: blocks that have run.
        precision: the half width wanted: upper end of the interval over the ratio, minus 1.
        max_blocks: no blocks are added to so many.
    """
    used_blocks, df = _counts(ratios, pairs)
    enough = (used_blocks >= blocks / 2) & (df > 0)
    comparisons = int(enough.sum())
    confidence = confidence_of(comparisons)
    without_width = Stopping(
        rule="no_comparison",
        further_blocks=0,
        precision=precision,
        max_blocks=max_blocks,
        blocks=blocks,
        confidence=confidence,
        comparisons=comparisons,
        left_out=tuple(itertools.compress(pairs, ~enough)),
    )
    if not enough.all():
        ratios = ratios[enough[ratios["pair"].to_numpy(dtype=np.int64)]]
    pooled = pooled_deviation(ratios)
    if pooled is None:
        return without_width
    fewest = int(used_blocks[enough].min())
    width = half_width(pooled.value, pooled.df, fewest, confidence)
    own = _own_widths(ratios, used_blocks, df * enough, confidence)
    rule: Rule | None = None
    if fewest >= FEWEST_BLOCKS_FOR_PRECISION and width <= precision:
        rule = "precision"
    elif blocks >= max_blocks:
        rule = "max_blocks"
    needed = _needed(pooled, fewest, precision, confidence)
    seen = {
        "rule": rule,
        "further_blocks": 0 if rule else _step(blocks, max_blocks),
        "deviation": pooled.value,
        "df": pooled.df,
        "half_width": width,
        "widest": max(own),
        "widest_pair": pairs[own.index(max(own))],
        "needed_blocks": None if needed is None else math.ceil(needed * blocks / fewest),
    }
    return without_width.model_copy(update=seen)


def half_width(deviation: float, df: float, blocks: int, confidence: float) -> float:
    """Return the upper end of a t interval of a ratio over the ratio, minus 1.

    ``deviation`` is that of a block's log ratio, with ``df`` degrees of freedom.
    """
    log_width = t_quantile(df, confidence) * deviation / math.sqrt(blocks)
    return math.expm1(min(log_width, 700.0))  # finite, for JSON


def _counts(ratios: pd.DataFrame, pairs: Sequence[Pair]) -> tuple[_Counts, _Counts]:
    """Return the blocks of each comparison, and the degrees of freedom of its deviation."""
    pair, session = (ratios[name].to_numpy(dtype=np.int64) for name in ("pair", "session"))
    means = np.unique(pair * (1 << 32) + session) >> 32
    blocks, sessions = (np.bincount(rows, minlength=len(pairs)) for rows in (pair, means))
    return blocks, blocks - sessions


def _own_widths(
    ratios: pd.DataFrame, blocks: _Counts, df: _Counts, confidence: float
) -> list[float]:
    """Return the half width of each comparison by its own deviation; 0 without one."""
    pair = ratios["pair"].to_numpy(dtype=np.int64)
    squares = np.bincount(pair, residuals(ratios)[0] ** 2, minlength=len(blocks))
    return [
        half_width(math.sqrt(total / d), int(d), int(n), confidence) if d else 0.0
        for total, d, n in zip(squares, df, blocks, strict=True)
    ]


def _step(blocks: int, max_blocks: int) -> int:
    """Return how many blocks to add: up to the first look, then two at a time."""
    step = max(_STEP_BLOCKS, FEWEST_BLOCKS_FOR_PRECISION - blocks)
    return min(step, max_blocks - blocks)


def _needed(
    pooled: PooledDeviation, blocks: int, precision: float, confidence: float
) -> int | None:
    """Return the blocks that give the precision, if the deviation stays; None above a million."""
    df_per_block = pooled.df / max(1, blocks - 1)
    n_normal = (t_quantile(math.inf, confidence) * pooled.value / math.log1p(precision)) ** 2
    if n_normal > _MAX_BLOCKS:
        return None
    n = max(FEWEST_BLOCKS_FOR_PRECISION, math.floor(n_normal))
    while half_width(pooled.value, df_per_block * (n - 1), n, confidence) > precision:
        n += 1
    return n
