"""Split epoch time into a fixed cost and a cost per example, T = a + b n, for each arm.

Usage:
    for cost in epoch_costs(trials, "norm", "none"):
        cost.arm.fixed_s, cost.arm.marginal_s, cost.marginal_ratio

Each block gives one line, by weighted least squares over its sizes. Intervals are t over blocks or
sessions, so they include what the trials of a block share. The weights are 1 / T^2, where T is the
mean over blocks at that size, because the noise of a time is relative to it (R. J. Carroll and D.
Ruppert, Transformation and Weighting in Regression, 1988, chapter 2). The weights are the same in
all blocks, so a line's parameters are linear in its times and therefore unbiased.

Whether a line fits: Hotelling's T^2 of each block's residuals (T. W. Anderson, An Introduction to
Multivariate Statistical Analysis, 3rd ed. 2003, section 5.2).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from bench.analysis.comparison.matched_pairs import complete_blocks, matched_groups
from bench.analysis.comparison.overhead import log_ratio
from bench.analysis.statistics.intervals import Estimate, Ratio, mean_interval
from bench.analysis.statistics.session_units import session_means

_Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class CostLine:
    """The line of one arm."""

    value: str
    """The arm's value of the axis."""
    sizes: tuple[int, ...]
    """Examples that an epoch trains on: those that fill whole batches."""
    fixed_s: Estimate
    """Seconds that an epoch takes without any example; noise can make it negative."""
    marginal_s: Estimate
    """Seconds per example."""
    residuals: tuple[float, ...]
    """The mean over blocks at each size, as a fraction of the time there."""
    lack_of_fit_p: float | None
    """Probability of residuals this large if the line were true; None with too few blocks, or with
    two sizes, which any line fits."""


@dataclass(frozen=True, slots=True)
class EpochCost:
    """The lines of two arms over the same sizes and blocks."""

    axis: str
    value: str
    baseline: str
    settings: Mapping[str, str]
    arm: CostLine
    baseline_arm: CostLine
    marginal_ratio: Ratio | None
    """Of seconds per example, within blocks: the limit of the ratio of times as examples grow. None
    if the cost per example is not positive in some block."""
    blocks: int
    sessions: int
    dropped_blocks: int
    """Blocks that lack one of the sizes."""
    dropped_sizes: tuple[int, ...]
    """Sizes that fewer than half of the blocks have, as ``examples``."""


def epoch_costs(trials: pd.DataFrame, axis: str, baseline: str) -> tuple[EpochCost, ...]:
    """Return one cost for each other value of ``axis`` and each setting with at least two sizes."""
    costs = (
        _cost(rows, axis, value, baseline, settings)
        for value, settings, rows in matched_groups(trials, axis, baseline, "examples")
    )
    return tuple(cost for cost in costs if cost is not None)


def _cost(
    rows: pd.DataFrame, axis: str, value: str, baseline: str, settings: Mapping[str, str]
) -> EpochCost | None:
    used = complete_blocks(rows, "examples")
    sizes = sorted(used["examples"].unique().tolist())
    if len(sizes) < 2:
        return None
    a, b = (
        used.pivot(index="block", columns="examples", values=c) for c in ("epoch_s", "epoch_s_b")
    )
    session = used.groupby("block")["session"].first().tolist()
    batch = used.groupby("examples")["global_batch_size"].first()
    trained_sizes = [int(n) // int(batch[n]) * int(batch[n]) for n in sizes]
    lines = [_lines(times.to_numpy(dtype=float), trained_sizes) for times in (a, b)]
    fits = [
        _fit(v, trained_sizes, line, session)
        for v, line in zip((value, baseline), lines, strict=True)
    ]
    return EpochCost(
        axis=axis,
        value=value,
        baseline=baseline,
        settings=settings,
        arm=fits[0],
        baseline_arm=fits[1],
        marginal_ratio=_marginal_ratio(lines[0].marginal, lines[1].marginal, session),
        blocks=len(session),
        sessions=len(set(session)),
        dropped_blocks=rows["block"].nunique() - len(session),
        dropped_sizes=tuple(int(n) for n in sorted(set(rows["examples"]) - set(sizes))),
    )


@dataclass(frozen=True)
class _Lines:
    """One line per block."""

    fixed: _Array
    marginal: _Array
    residuals: _Array
    """Blocks by sizes, relative to the mean time at each size."""
    orthogonal: _Array
    """The residuals in a basis of the complement of all lines: blocks by sizes less two."""


def _lines(times: _Array, sizes: Sequence[int]) -> _Lines:
    mean = times.mean(axis=0)
    scale = float(max(sizes))  # numbers of one magnitude keep the inversion exact
    design = np.stack([1 / mean, np.array(sizes) / scale / mean], axis=1)
    basis, triangle = np.linalg.qr(design, mode="complete")
    relative = times / mean
    fixed, marginal = np.linalg.solve(triangle[:2], basis[:, :2].T @ relative.T)
    residuals = relative - np.stack([fixed, marginal], axis=1) @ design.T
    return _Lines(fixed, marginal / scale, residuals, residuals @ basis[:, 2:])


def _fit(value: str, sizes: Sequence[int], lines: _Lines, sessions: Sequence[int]) -> CostLine:
    return CostLine(
        value=value,
        sizes=tuple(sizes),
        fixed_s=mean_interval(session_means(lines.fixed[:, None], sessions)[:, 0].tolist()),
        marginal_s=mean_interval(session_means(lines.marginal[:, None], sessions)[:, 0].tolist()),
        residuals=tuple(lines.residuals.mean(axis=0).tolist()),
        lack_of_fit_p=hotelling_p(session_means(lines.orthogonal, sessions)),
    )


def hotelling_p(values: _Array) -> float | None:
    """Return the p-value for all column means being 0; None without enough rows."""
    n, k = values.shape
    if k == 0 or n <= k:
        return None
    mean = values.mean(axis=0)
    covariance = np.atleast_2d(np.cov(values, rowvar=False))
    if np.linalg.matrix_rank(covariance) < k:
        return None
    t2 = n * float(mean @ np.linalg.solve(covariance, mean))
    return float(special.fdtrc(k, n - k, (n - k) / (k * (n - 1)) * t2))


def _marginal_ratio(a: _Array, b: _Array, sessions: Sequence[int]) -> Ratio | None:
    if (a <= 0).any() or (b <= 0).any():
        return None
    ratio, _ = log_ratio(pd.DataFrame({"log": np.log(a / b), "session": list(sessions)}))
    return ratio if ratio is not None and math.isfinite(ratio.value) else None
