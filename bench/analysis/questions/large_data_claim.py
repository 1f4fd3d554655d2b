"""The claim that a technique costs nothing on very large data, read in two ways and answered.

Usage:
    ratio_trends(trials, "norm", "none")                        # of epoch times
    target_comparisons(trials, epochs, "norm", "none", target=0.85)  # of times to an accuracy

Answers are yes, no or undecided, by rules fixed in advance: an interval of 95 % must lie on one
side of a bound. Undecided comes with what would decide.

Reading one has two parts. The ratio falls where the trend's upper end is below 1 over the
range of sizes; it does not where a fall by more than ``margin`` is outside the interval. The
cost vanishes where the upper end at the largest size is below 1 + ``margin`` (equivalence, by
one-sided bounds: D. J. Schuirmann, J. Pharmacokin. Biopharm. 15, 1987); it does not where the
lower end is above. Yes needs both. No is no fall, or a limit of the ratio, that of marginal
costs, with its lower end above 1 + ``margin`` where lines are seen to fit: over three sizes at
least, since any line fits two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis.comparison.matched_pairs import by_setting, match_pairs, values_of, whole_blocks
from bench.analysis.comparison.overhead import Curve, Point, log_ratio, overhead
from bench.analysis.questions.epoch_cost import EpochCost, epoch_costs
from bench.analysis.questions.next_steps import Answer, NextSteps, steps_for_target, steps_for_trend
from bench.analysis.statistics.paired import Ratio
from bench.analysis.statistics.time_to_accuracy import TimeRatio, compare_times

if TYPE_CHECKING:
    import pandas as pd

MARGIN = 0.05
"""Costs below this are called none."""
_FIT_P = 0.01
"""Below this probability a line is not used to say where a ratio goes."""


@dataclass(frozen=True, slots=True)
class RatioTrend:
    """Whether the ratio of epoch times falls toward 1 as examples grow."""

    answer: Answer
    axis: str
    value: str
    baseline: str
    settings: Mapping[str, str]
    margin: float
    falls: Answer
    vanishes: Answer
    per_tenfold: Ratio | None
    """Factor on the ratio of times for ten times the examples."""
    over_range: Ratio | None
    """The same from the smallest to the largest size."""
    smallest: Point | None
    largest: Point | None
    sizes: tuple[int, ...]
    """Those over which the change was taken, of blocks that hold all of them; smallest first."""
    marginal_ratio: Ratio | None
    lack_of_fit_p: float | None
    """The smaller of both arms'; None where no fit can be seen."""
    decided_by: tuple[NextSteps, ...]

    @property
    def fits(self) -> bool:
        """Whether lines are seen to fit, so that the ratio's limit may decide."""
        return self.lack_of_fit_p is not None and self.lack_of_fit_p >= _FIT_P


@dataclass(frozen=True, slots=True)
class TargetComparison:
    """Whether the target is reached in less time."""

    answer: Answer
    axis: str
    value: str
    baseline: str
    settings: Mapping[str, str]
    examples: int
    target: float
    times: TimeRatio
    decided_by: tuple[NextSteps, ...]


def ratio_trends(
    trials: "pd.DataFrame", axis: str, baseline: str, margin: float = MARGIN
) -> tuple[RatioTrend, ...]:
    """One answer for each other value of ``axis`` and each setting of all else."""
    lines = {(c.value, tuple(c.settings.items())): c for c in epoch_costs(trials, axis, baseline)}
    curves = {
        (c.value, tuple(c.settings.items())): c
        for c in overhead(trials, axis, baseline, along="examples")
    }
    found, asked = [], int(trials["examples"].nunique())
    for value in values_of(trials, axis, baseline):
        for settings, rows in by_setting(
            match_pairs(trials, axis, value, baseline), axis, "examples"
        ):
            key = value, tuple(settings.items())
            found.append(_falls(rows, curves[key], lines.get(key), margin, asked))
    return tuple(found)


def target_comparisons(
    trials: "pd.DataFrame", epochs: "pd.DataFrame", axis: str, baseline: str, target: float
) -> tuple[TargetComparison, ...]:
    """One answer for each other value of ``axis``, each setting and each number of examples.

    None for synthetic data, and for replicas that did not communicate: their accuracy means
    nothing.
    """
    silent = (trials["communication"] == "none") & (trials["workers"] * trials["replicas"] > 1)
    trials = trials[(trials["dataset"] != "synthetic") & ~silent]
    found = []
    for value in values_of(trials, axis, baseline):
        for settings, rows in by_setting(
            match_pairs(trials, axis, value, baseline), axis, "examples"
        ):
            arms = rows[["examples", "variant_id", "variant_id_b"]].drop_duplicates()
            for examples, ours, theirs in arms.itertuples(index=False):
                times = compare_times(trials, epochs, target, ours, theirs)
                answer = _sooner(times)
                needed = steps_for_target(times) if answer == "undecided" else ()
                found.append(
                    TargetComparison(
                        answer, axis, value, baseline, settings, examples, target, times, needed
                    )
                )
    return tuple(found)


def _falls(
    rows: "pd.DataFrame", curve: Curve, line: EpochCost | None, margin: float, asked: int
) -> RatioTrend:
    known = [p for p in curve.points if p.ratio is not None]
    smallest, largest = (known[0], known[-1]) if known else (None, None)
    whole = whole_blocks(rows, "examples")
    per_tenfold, over_range = _trend(whole)
    falls = _between(over_range, 1.0, 1 / (1 + margin), no_first=True)
    vanishes = _between(largest.ratio if largest else None, 1 + margin, 1 + margin)
    p = _lack_of_fit(line)
    marginal = line.marginal_ratio if line else None
    limit = "undecided" if p is None or p < _FIT_P else _between(marginal, 0, 1 + margin)
    answer: Answer = "undecided"
    if falls == "no" or (vanishes == "no" and limit == "no"):
        answer = "no"
    elif falls == "yes" and vanishes == "yes":
        answer = "yes"
    return RatioTrend(
        answer=answer,
        axis=curve.axis,
        value=curve.value,
        baseline=curve.baseline,
        settings=curve.settings,
        margin=margin,
        falls=falls,
        vanishes=vanishes,
        per_tenfold=per_tenfold,
        over_range=over_range,
        smallest=smallest,
        largest=largest,
        sizes=tuple(sorted(map(int, whole["examples"].unique()))) if over_range else (),
        marginal_ratio=marginal,
        lack_of_fit_p=p,
        decided_by=steps_for_trend(falls, vanishes, over_range, largest, line, margin, asked)
        if answer == "undecided"
        else (),
    )


def _trend(whole: "pd.DataFrame") -> tuple[Ratio | None, Ratio | None]:
    """Least squares of the log ratio on the log of the size, a slope a block."""
    import numpy as np

    if whole["examples"].nunique() < 2:
        return None, None
    decades = whole["examples"].astype(float).map(np.log10)
    x = decades - decades.groupby(whole["block"]).transform("mean")
    sums = whole.assign(xy=x * whole["log"], xx=x * x).groupby("block")
    slopes = sums["session"].first().to_frame()
    slopes["slope"] = sums["xy"].sum() / sums["xx"].sum()
    slopes["range"] = slopes["slope"] * float(decades.max() - decades.min())
    return log_ratio(slopes, "slope")[0], log_ratio(slopes, "range")[0]


def _between(
    found: Ratio | None, yes_below: float, no_above: float, *, no_first: bool = False
) -> Answer:
    if found is None or found.low is None or found.high is None:
        return "undecided"
    if no_first and found.low > no_above:
        return "no"
    if found.high < yes_below:
        return "yes"
    return "no" if found.low > no_above else "undecided"


def _lack_of_fit(line: EpochCost | None) -> float | None:
    fits = [line.arm.lack_of_fit_p, line.baseline_arm.lack_of_fit_p] if line else []
    return min((p for p in fits if p is not None), default=None)


def _sooner(times: TimeRatio) -> Answer:
    low, high = times.low, times.high
    if times.parametric is not None:
        low, high = times.parametric.low, times.parametric.high
    if low is None or high is None:
        return "undecided"
    return "yes" if high < 1 else "no" if low > 1 else "undecided"
