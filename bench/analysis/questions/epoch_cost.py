"""The fixed cost of an epoch and the cost of each example more: T = a + b n, for each arm.

Usage:
    for found in epoch_costs(trials, "norm", "none"):
        found.arm.fixed_s, found.arm.marginal_s, found.marginal_ratio

Each block gives one line, by weighted least squares over its sizes; intervals are t over
blocks, or over sessions, so that what a block's trials share is in them. Weights are 1 / T^2,
T being the size's mean over blocks: the noise of a time is relative to it (R. J. Carroll and
D. Ruppert, Transformation and Weighting in Regression, 1988, chapter 2). Equal in all blocks,
they leave each line's numbers linear in its times, hence without bias.

Whether a line fits at all: Hotelling's T^2 of what each block's sizes leave over (T. W.
Anderson, An Introduction to Multivariate Statistical Analysis, 3rd ed. 2003, section 5.2).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.comparison.matched_pairs import by_setting, match_pairs, values_of, whole_blocks
from bench.analysis.comparison.overhead import log_ratio
from bench.analysis.statistics.paired import Estimate, Ratio, mean_interval

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    _Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class CostLine:
    """The line of one arm."""

    value: str
    """Of the axis."""
    sizes: tuple[int, ...]
    """Examples trained on in an epoch: what fills no batch is left out."""
    fixed_s: Estimate
    """Seconds an epoch takes without any example; noise may take it below 0."""
    marginal_s: Estimate
    """Seconds an example."""
    residuals: tuple[float, ...]
    """Mean over blocks at each size, as a part of the time there."""
    lack_of_fit_p: float | None
    """Probability of residuals as large if the line were true; None with too few blocks or
    with two sizes, which any line fits."""


@dataclass(frozen=True, slots=True)
class EpochCost:
    """Two arms' lines over the same sizes and blocks."""

    axis: str
    value: str
    baseline: str
    settings: Mapping[str, str]
    arm: CostLine
    baseline_arm: CostLine
    marginal_ratio: Ratio | None
    """Of seconds an example, within blocks: where the ratio of times goes as examples grow.
    None where some block's is not positive."""
    blocks: int
    sessions: int
    dropped_blocks: int
    """Blocks that lack one of the sizes."""
    dropped_sizes: tuple[int, ...]
    """Sizes that less than half of the blocks hold, as ``examples``."""


def epoch_costs(trials: "pd.DataFrame", axis: str, baseline: str) -> tuple[EpochCost, ...]:
    """One for each other value of ``axis`` and each setting; none for fewer than two sizes."""
    found = []
    for value in values_of(trials, axis, baseline):
        pairs = match_pairs(trials, axis, value, baseline)
        for settings, rows in by_setting(pairs, axis, "examples"):
            each = _cost(rows, axis, value, baseline, settings)
            if each is not None:
                found.append(each)
    return tuple(found)


def _cost(
    rows: "pd.DataFrame", axis: str, value: str, baseline: str, settings: Mapping[str, str]
) -> EpochCost | None:
    used = whole_blocks(rows, "examples")
    sizes = sorted(used["examples"].unique().tolist())
    if len(sizes) < 2:
        return None
    a, b = (
        used.pivot(index="block", columns="examples", values=c) for c in ("epoch_s", "epoch_s_b")
    )
    session = used.groupby("block")["session"].first().tolist()
    batch = used.groupby("examples")["global_batch_size"].first()
    trained = [int(n) // int(batch[n]) * int(batch[n]) for n in sizes]
    lines = [_lines(times.to_numpy(dtype=float), trained) for times in (a, b)]
    fits = [
        _fit(v, trained, line, session) for v, line in zip((value, baseline), lines, strict=True)
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
    """One line a block."""

    fixed: "_Array"
    marginal: "_Array"
    residuals: "_Array"
    """Blocks by sizes, relative to the mean time of each size."""
    left_over: "_Array"
    """The same in a basis of what no line can reach, blocks by sizes less two."""


def _lines(times: "_Array", sizes: Sequence[int]) -> _Lines:
    import numpy as np

    mean = times.mean(axis=0)
    scale = float(max(sizes))  # a matrix of like numbers inverts without loss
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
        fixed_s=mean_interval(_units(lines.fixed[:, None], sessions)[:, 0].tolist()),
        marginal_s=mean_interval(_units(lines.marginal[:, None], sessions)[:, 0].tolist()),
        residuals=tuple(lines.residuals.mean(axis=0).tolist()),
        lack_of_fit_p=hotelling_p(_units(lines.left_over, sessions)),
    )


def hotelling_p(values: "_Array") -> float | None:
    """Whether the means of all columns are 0, as a probability; None without rows enough."""
    import numpy as np
    from scipy import special

    n, k = values.shape
    if k == 0 or n <= k:
        return None
    mean = values.mean(axis=0)
    covariance = np.atleast_2d(np.cov(values, rowvar=False))
    if np.linalg.matrix_rank(covariance) < k:
        return None
    t2 = n * float(mean @ np.linalg.solve(covariance, mean))
    return float(special.fdtrc(k, n - k, (n - k) / (k * (n - 1)) * t2))


def _units(values: "_Array", sessions: Sequence[int]) -> "_Array":
    """Rows over blocks, or their means over each session where there are several."""
    import numpy as np

    if len(set(sessions)) < 2:
        return values
    codes = np.array(sessions)
    return np.stack([values[codes == s].mean(axis=0) for s in dict.fromkeys(sessions)])


def _marginal_ratio(a: "_Array", b: "_Array", sessions: Sequence[int]) -> Ratio | None:
    import numpy as np
    import pandas as pd

    if (a <= 0).any() or (b <= 0).any():
        return None
    found, _ = log_ratio(pd.DataFrame({"log": np.log(a / b), "session": list(sessions)}))
    return found if found is not None and math.isfinite(found.value) else None
