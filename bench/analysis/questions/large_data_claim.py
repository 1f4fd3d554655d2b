"""Answer the claim that a technique costs nothing on very large data, in two readings.

Usage:
    ratio_trends(trials, "norm", "none")                        # of epoch times
    target_comparisons(trials, epochs, "norm", "none", target=0.85)  # of times to an accuracy

Answers are yes, no or undecided, by rules fixed in advance: a 95 % interval must lie on one side of
a bound. An undecided answer lists what would decide it.

The first reading is decided at the largest size. The cost vanishes there if the upper end of the
ratio is below 1 + ``margin`` (equivalence, by one-sided bounds: D. J. Schuirmann, J. Pharmacokin.
Biopharm. 15, 1987); it does not if the lower end is above. The trend over the sizes can only hold
an answer back: a cost that vanishes is no yes while the ratio rises, and one that does not is no
"no" while the ratio falls, unless its limit is above 1 + ``margin`` too. The limit, the ratio of
marginal costs, is extrapolated past the sizes. It counts only if lines fit, which takes at least
three sizes, because any line fits two.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.comparison.matched_pairs import complete_blocks, matched_groups
from bench.analysis.comparison.overhead import Curve, Point, log_ratio, overhead
from bench.analysis.loading.trial_filters import has_meaningful_accuracy
from bench.analysis.questions.epoch_cost import EpochCost, epoch_costs
from bench.analysis.questions.next_steps import Answer, NextStep, steps_for_target, steps_for_trend
from bench.analysis.statistics.intervals import Ratio
from bench.analysis.statistics.time_to_accuracy import TimeRatio, compare_times
from bench.analysis.statistics.turn_ratios import Windows

MARGIN = 0.05
"""A relative cost below this counts as none."""
_MIN_FIT_P = 0.01
"""If the p-value of the fit is lower, the lines do not predict the limit of the ratio."""


@dataclass(frozen=True, slots=True)
class RatioTrend:
    """Whether the cost vanishes as examples grow."""

    answer: Answer
    axis: str
    value: str
    baseline: str
    settings: Mapping[str, str]
    margin: float
    ratio_falls: Answer
    """Whether the ratio falls over the range of sizes; no if a fall by ``margin`` is excluded."""
    cost_vanishes: Answer
    """Whether the cost is below ``margin`` at the largest size."""
    per_tenfold: Ratio | None
    """The factor on the ratio of times for ten times the examples."""
    over_range: Ratio | None
    """The factor on the ratio from the smallest to the largest size."""
    smallest: Point | None
    largest: Point | None
    sizes: tuple[int, ...]
    """The sizes of the trend, smallest first, in blocks that contain all of them."""
    marginal_ratio: Ratio | None
    """Of the cost of a further example, by the lines: an extrapolation past the sizes."""
    lack_of_fit_p: float | None
    """The smaller p-value of the two arms; None if the fit cannot be tested."""
    next_steps: tuple[NextStep, ...]

    @property
    def lines_fit(self) -> bool:
        """Whether lines were tested and fit, so that the limit of the ratio may decide."""
        return self.lack_of_fit_p is not None and self.lack_of_fit_p >= _MIN_FIT_P


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
    next_steps: tuple[NextStep, ...]


def ratio_trends(
    trials: pd.DataFrame,
    axis: str,
    baseline: str,
    margin: float = MARGIN,
    turns: Windows | None = None,
) -> tuple[RatioTrend, ...]:
    """Return one answer for each other value of ``axis`` and each setting of the other axes.

    ``turns`` is as for ``match_pairs``.
    """
    lines = {(c.value, tuple(c.settings.items())): c for c in epoch_costs(trials, axis, baseline)}
    curves = {
        (c.value, tuple(c.settings.items())): c
        for c in overhead(trials, axis, baseline, along="examples", turns=turns)
    }
    sizes = int(trials["examples"].nunique())
    trends = []
    for value, settings, rows in matched_groups(trials, axis, baseline, "examples", turns):
        key = value, tuple(settings.items())
        trends.append(_ratio_trend(rows, curves[key], lines.get(key), margin, sizes))
    return tuple(trends)


def target_comparisons(
    trials: pd.DataFrame, epochs: pd.DataFrame, axis: str, baseline: str, target: float
) -> tuple[TargetComparison, ...]:
    """Return one answer for each other value of ``axis``, each setting and each number of examples.

    Synthetic data and replicas that did not communicate are left out: their accuracy means nothing.
    """
    trials = trials[has_meaningful_accuracy(trials)]
    comparisons = []
    for value, settings, rows in matched_groups(trials, axis, baseline, "examples"):
        arms = rows[["examples", "variant_id", "variant_id_b"]].drop_duplicates()
        for examples, variant_id, baseline_id in arms.itertuples(index=False):
            times = compare_times(trials, epochs, target, variant_id, baseline_id)
            answer = _target_answer(times)
            steps = steps_for_target(times) if answer == "undecided" else ()
            comparisons.append(
                TargetComparison(
                    answer, axis, value, baseline, settings, examples, target, times, steps
                )
            )
    return tuple(comparisons)


def _ratio_trend(
    rows: pd.DataFrame, curve: Curve, line: EpochCost | None, margin: float, sizes: int
) -> RatioTrend:
    timed_points = [p for p in curve.points if p.ratio is not None]
    smallest, largest = (timed_points[0], timed_points[-1]) if timed_points else (None, None)
    complete = complete_blocks(rows, "examples")
    per_tenfold, over_range = _trend(complete)
    ratio_falls = _interval_answer(over_range, 1.0, 1 / (1 + margin), no_first=True)
    cost_vanishes = _interval_answer(largest.ratio if largest else None, 1 + margin, 1 + margin)
    p = _lack_of_fit(line)
    marginal = line.marginal_ratio if line else None
    limit: Answer = "undecided"
    if p is not None and p >= _MIN_FIT_P:
        limit = _interval_answer(marginal, 0, 1 + margin)
    rises = over_range is not None and over_range.low is not None and over_range.low > 1
    answer: Answer = "undecided"
    if cost_vanishes == "no" and (ratio_falls != "yes" or limit == "no"):
        answer = "no"
    elif cost_vanishes == "yes" and over_range is not None and not rises:
        answer = "yes"
    return RatioTrend(
        answer=answer,
        axis=curve.axis,
        value=curve.value,
        baseline=curve.baseline,
        settings=curve.settings,
        margin=margin,
        ratio_falls=ratio_falls,
        cost_vanishes=cost_vanishes,
        per_tenfold=per_tenfold,
        over_range=over_range,
        smallest=smallest,
        largest=largest,
        sizes=tuple(sorted(map(int, complete["examples"].unique()))) if over_range else (),
        marginal_ratio=marginal,
        lack_of_fit_p=p,
        next_steps=steps_for_trend(cost_vanishes, over_range, largest, line, margin, sizes)
        if answer == "undecided"
        else (),
    )


def _trend(complete: pd.DataFrame) -> tuple[Ratio | None, Ratio | None]:
    """Fit the log ratio on the log of the size by least squares, with one slope per block."""
    if complete["examples"].nunique() < 2:
        return None, None
    decades = complete["examples"].astype(float).map(np.log10)
    x = decades - decades.groupby(complete["block"]).transform("mean")
    sums = complete.assign(xy=x * complete["log"], xx=x * x).groupby("block")
    slopes = sums["session"].first().to_frame()
    slopes["slope"] = sums["xy"].sum() / sums["xx"].sum()
    slopes["range"] = slopes["slope"] * float(decades.max() - decades.min())
    return log_ratio(slopes, "slope")[0], log_ratio(slopes, "range")[0]


def _interval_answer(
    ratio: Ratio | None, yes_below: float, no_above: float, *, no_first: bool = False
) -> Answer:
    if ratio is None or ratio.low is None or ratio.high is None:
        return "undecided"
    if no_first and ratio.low > no_above:
        return "no"
    if ratio.high < yes_below:
        return "yes"
    return "no" if ratio.low > no_above else "undecided"


def _lack_of_fit(line: EpochCost | None) -> float | None:
    p_values = [line.arm.lack_of_fit_p, line.baseline_arm.lack_of_fit_p] if line else []
    return min((p for p in p_values if p is not None), default=None)


def _target_answer(times: TimeRatio) -> Answer:
    if times.low is None or times.high is None:
        return "undecided"
    return "yes" if times.high < 1 else "no" if times.low > 1 else "undecided"
