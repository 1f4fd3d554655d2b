"""Say what would answer a question that a run left undecided: blocks, sessions, sizes, epochs."""

import math
from dataclasses import dataclass
from typing import Literal

from bench.analysis.comparison.overhead import Point, additional_units
from bench.analysis.questions.epoch_cost import EpochCost
from bench.analysis.statistics.intervals import Ratio
from bench.analysis.statistics.time_to_accuracy import MIN_VALUES, TimeRatio

Answer = Literal["yes", "no", "undecided"]
Kind = Literal["blocks", "complete_blocks", "sessions", "sizes", "larger_size", "epochs"]


@dataclass(frozen=True, slots=True)
class NextStep:
    """One thing to add to a run."""

    kind: Kind
    amount: int | None
    """How many blocks, sessions or sizes to add, or the size itself; None if unknown."""


def steps_for_trend(
    cost_vanishes: Answer,
    over_range: Ratio | None,
    largest: Point | None,
    line: EpochCost | None,
    margin: float,
    sizes: int,
) -> tuple[NextStep, ...]:
    """Return what would decide whether a cost vanishes as examples grow.

    ``sizes`` is the number of sizes in the run.
    """
    if sizes < 2:
        return (NextStep("sizes", 2 - sizes),)
    if over_range is None:  # no block has completed trials at two sizes
        return (NextStep("complete_blocks", None),)
    steps = []
    if cost_vanishes == "undecided" and largest is not None and largest.ratio is not None:
        distance = abs(largest.ratio.value / (1 + margin) - 1)
        amount = additional_units(largest, max(distance, margin / 5))
        steps.append(NextStep("sessions" if largest.ratio.sessions > 1 else "blocks", amount))
    else:  # the trend holds the answer back
        steps.append(NextStep("larger_size", _size_at(line, 1 + margin)))
    return tuple(steps)


def _size_at(line: EpochCost | None, bound: float) -> int | None:
    """Extrapolate the number of examples at which the lines' ratio is ``bound``; None if never."""
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
    if times.units < MIN_VALUES:
        kind: Kind = "sessions" if times.sessions > 1 else "blocks"
        steps.append(NextStep(kind, MIN_VALUES - times.units))
    elif not steps:
        steps.append(NextStep("blocks", None))
    return tuple(steps)
