"""Simulate runs of smooth epoch times, with and without the trials whose verdict is a mark.

Usage:
    every, unmarked, marked_share = intervals(runs=400)
    every.half_width.mean(), every.covered.mean(), every.share_of_runs

    python -m tests.support.marked_runs 2000      # the figures in docs/methodology.md
"""

import math
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.comparison.compare import compare
from bench.analysis.loading.trial_filters import is_unsteady
from bench.spec.pairing import Pair
from tests.support.noise_models import Floats
from tests.support.simulated_runs import autoregressive, blocks_in, two_arm_runs

BLOCKS, EPOCHS = 5, 20
TRUE_RATIO = 1.5


@dataclass(frozen=True)
class Intervals:
    """The intervals of the runs that have one."""

    half_width: Floats
    """Of the logarithm of each ratio."""
    covered: Floats
    """Whether each has the true ratio."""
    share_of_runs: float


def intervals(runs: int, seed: int = 20260105) -> tuple[Intervals, Intervals, float]:
    """Return the intervals of all trials, those of unmarked trials, and the share of marked trials.

    Epochs have 10 % noise with a correlation of 0.56 from one to the next, processes 2 %.
    """
    rng = np.random.default_rng(seed)
    logs = 0.1 * autoregressive(rng, (runs, BLOCKS, 2, EPOCHS), correlation=0.56)
    logs += rng.normal(0, 0.02, (runs, BLOCKS, 2, 1))
    logs[:, :, 0] += math.log(TRUE_RATIO)
    trials, pairs = two_arm_runs(np.exp(logs))
    marked = is_unsteady(trials)
    unmarked = _intervals(trials[~marked], pairs)
    return _intervals(trials, pairs), unmarked, float(marked.mean())


def _intervals(trials: pd.DataFrame, pairs: list[Pair]) -> Intervals:
    ratios = [comparison.ratio for comparison in compare(trials, [{}], pairs, blocks_in(trials))]
    ends = np.array([(r.low, r.high) for r in ratios if r is not None and r.low is not None])
    low, high = ends[:, 0], ends[:, 1]
    covered = ((low <= TRUE_RATIO) & (high >= TRUE_RATIO)).astype(float)
    return Intervals(np.log(high / low) / 2, covered, len(ends) / len(pairs))


def _main() -> None:
    every, unmarked, marked_share = intervals(int(sys.argv[1]))
    print(f"marked trials: {100 * marked_share:.0f} %")
    for name, result in (("all trials", every), ("unmarked trials", unmarked)):
        print(
            f"{name}: {100 * result.share_of_runs:.0f} % of runs have an interval; half width "
            f"{100 * result.half_width.mean():.1f} % on average, "
            f"{100 * np.quantile(result.half_width, 0.95):.0f} % at the 95th percentile; "
            f"coverage {100 * result.covered.mean():.1f} %"
        )


if __name__ == "__main__":
    _main()
