"""Say what would answer a question that a run left undecided: blocks, sessions, sizes, epochs."""

import math
from dataclasses import dataclass
from typing import Literal

from scipy import special

from bench.analysis.comparison.overhead import Point, additional_units
from bench.analysis.questions.epoch_cost import EpochCost
from bench.analysis.statistics.intervals import Ratio, units_needed
from bench.analysis.statistics.time_to_accuracy import TimeRatio

Answer = Literal["yes", "no", "undecided"]
Kind = Literal["blocks", "settled_blocks", "sessions", "sizes", "larger_size", "epochs"]
_MIN_BLOCKS = 6
"""With fewer, order statistics give no 95 % interval."""


@dataclass(frozen=True, slots=True)
class NextStep:
    """One thing to add to a run."""

    kind: Kind
    amount: int | None
    """How many blocks, sessions or sizes to add, or the size itself; None if unknown."""


def steps_for_trend(
    ratio_falls: Answer,
    cost_vanishes: Answer,
    over_range: Ratio | None,
    largest: Point | None,
    line: EpochCost | None,
    margin: float,
    sizes: int,
) -> tuple[NextStep, ...]:
    """Return what would decide whether a ratio falls toward 1.

    ``sizes`` is the number of sizes in the run.
    """
    if sizes < 2:
        return (NextStep("sizes", 2 - sizes),)
    if over_range is None:  # no block has steady trials at two sizes
        return (NextStep("settled_blocks", None),)
    steps = []
    if ratio_falls == "undecided":
        # Yes needs an interval below 1, no one above 1 / (1 + margin): take the more distant bound.
        distance = math.log(over_range.value)
        steps.append(_more_units(over_range, max(-distance, distance + math.log1p(margin))))
    if cost_vanishes == "undecided" and largest is not None and largest.ratio is not None:
        distance = abs(largest.ratio.value / (1 + margin) - 1)
        amount = additional_units(largest, max(distance, margin / 5))
        steps.append(NextStep("sessions" if largest.ratio.sessions > 1 else "blocks", amount))
    if cost_vanishes == "no":
        steps.append(NextStep("larger_size", _size_at(line, 1 + margin)))
    return _merge_by_kind(steps)


def _merge_by_kind(steps: list[NextStep]) -> tuple[NextStep, ...]:
    """Keep one step of each kind, with the largest known amount."""
    amounts: dict[Kind, int | None] = {}
    for step in steps:
        known = [n for n in (amounts.get(step.kind), step.amount) if n is not None]
        amounts[step.kind] = max(known, default=None)
    return tuple(NextStep(kind, amount) for kind, amount in amounts.items())


def _size_at(line: EpochCost | None, bound: float) -> int | None:
    """Return the number of examples at which the lines' ratio is ``bound``; None if it never is."""
    if line is None:
        return None
    arm, baseline = line.arm, line.baseline_arm
    gap = bound * baseline.marginal_s.value - arm.marginal_s.value
    extra = arm.fixed_s.value - bound * baseline.fixed_s.value
    return math.ceil(extra / gap) if gap > 0 and extra > 0 else None


def steps_for_target(times: TimeRatio) -> tuple[NextStep, ...]:
    """Return what would decide whether a target is reached in less time."""
    steps = []
    if times.n == 0 or times.neither:
        steps.append(NextStep("epochs", None))
    if times.parametric is not None and times.parametric.n > 1:
        steps.append(_more_units(times.parametric, abs(math.log(times.parametric.value))))
    elif times.n < _MIN_BLOCKS:
        steps.append(NextStep("blocks", _MIN_BLOCKS - times.n))
    elif not steps:
        steps.append(NextStep("blocks", None))
    return _merge_by_kind(steps)


def _more_units(ratio: Ratio, effect: float) -> NextStep:
    """Return the blocks or sessions to add to detect a log ratio of ``effect``."""
    kind: Kind = "sessions" if ratio.sessions > 1 else "blocks"
    if ratio.low is None or ratio.high is None or not 0 < ratio.low <= ratio.high < math.inf:
        return NextStep(kind, None)
    half = math.log(ratio.high / ratio.low) / 2
    deviation = half * math.sqrt(ratio.n) / float(special.stdtrit(ratio.n - 1, 0.975))
    total = units_needed(deviation, math.expm1(effect)) if effect > 0 else None
    return NextStep(kind, None if total is None else max(1, total - ratio.n))
