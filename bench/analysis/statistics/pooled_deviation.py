"""Pool the deviations of a run's comparisons into one: how much a block's log ratio varies.

Usage:
    pooled = pooled_deviation(ratios)
    pooled.value, pooled.df

Comparisons with one trial of a baseline share its noise: the residuals e of m of them have the
covariance s² (I + J) / 2, where s is the deviation of a log ratio and J is all ones. Each part of a
block trains its own baseline. Weighted by the inverse of the covariance (A. C. Aitken, Proc. Roy.
Soc. Edinburgh 55, 1935), a part of a block contributes

    2 (Σ e² - (Σ e)² / (m + 1))

to s² times chi-square, so that no degree of freedom is lost. Residuals are from the mean of a
comparison in its session.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

_Array = np.ndarray[Any, np.dtype[np.float64]]
_Codes = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class PooledDeviation:
    """The standard deviation of a block's log ratio, and its degrees of freedom."""

    value: float
    df: int


def pooled_deviation(ratios: pd.DataFrame) -> PooledDeviation | None:
    """Pool the log ratios of blocks; None if no comparison has two blocks in a session.

    ``ratios`` has the columns pair, baseline_id, block, part, session and log.
    """
    residual, cells = residuals(ratios)
    df = len(residual) - cells
    if df < 1:
        return None
    block, part = (ratios[name].to_numpy(dtype=np.int64) for name in ("block", "part"))
    group = _codes(pd.factorize(ratios["baseline_id"])[0], _codes(block, part))
    squares, total = np.bincount(group, residual**2), np.bincount(group, residual)
    weighted = 2 * (squares - total**2 / (np.bincount(group) + 1)).sum()
    return PooledDeviation(math.sqrt(max(float(weighted), 0.0) / df), df)


def residuals(ratios: pd.DataFrame) -> tuple[_Array, int]:
    """Return each log ratio minus the mean of its comparison and session; and how many means."""
    pair, session = (ratios[name].to_numpy(dtype=np.int64) for name in ("pair", "session"))
    log, cell = ratios["log"].to_numpy(dtype=float), _codes(pair, session)
    counts = np.bincount(cell)
    return log - (np.bincount(cell, log) / counts)[cell], len(counts)


def _codes(first: _Codes, second: _Codes) -> _Codes:
    """Number the distinct pairs of values from 0."""
    codes: _Codes = np.unique(first * (1 << 32) + second, return_inverse=True)[1]
    return codes
