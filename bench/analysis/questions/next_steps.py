"""What would decide a question that a run left undecided: blocks, sessions, sizes, epochs."""

import math
from dataclasses import dataclass
from typing import Literal

from bench.analysis.comparison.overhead import Point, further_units
from bench.analysis.questions.epoch_cost import EpochCost
from bench.analysis.statistics.paired import Ratio, units_needed
from bench.analysis.statistics.time_to_accuracy import TimeRatio

Answer = Literal["yes", "no", "undecided"]
Kind = Literal["blocks", "settled_blocks", "sessions", "sizes", "larger_size", "epochs"]
_LEAST_BLOCKS = 6
"""Of fewer, order statistics give no 95 % interval."""


@dataclass(frozen=True, slots=True)
class NextSteps:
    """What would decide."""

    kind: Kind
    amount: int | None
    """How many more blocks, sessions or sizes; the size itself; None where it cannot be said."""


def steps_for_trend(
    falls: Answer,
    vanishes: Answer,
    over_range: Ratio | None,
    largest: Point | None,
    line: EpochCost | None,
    margin: float,
    sizes: int,
) -> tuple[NextSteps, ...]:
    """What would tell whether a ratio falls toward 1; ``sizes`` is how many were asked for."""
    if sizes < 2:
        return (NextSteps("sizes", 2 - sizes),)
    if over_range is None:  # no block has trials that settled at two sizes
        return (NextSteps("settled_blocks", None),)
    needed = []
    if falls == "undecided":
        # Yes is an interval below 1, no is one above 1 / (1 + margin): whichever is further off.
        away = math.log(over_range.value)
        needed.append(_more_of(over_range, max(-away, away + math.log1p(margin))))
    if vanishes == "undecided" and largest is not None and largest.ratio is not None:
        away = abs(largest.ratio.value / (1 + margin) - 1)
        more = further_units(largest, max(away, margin / 5))
        needed.append(NextSteps("sessions" if largest.ratio.sessions > 1 else "blocks", more))
    if vanishes == "no":
        needed.append(NextSteps("larger_size", _size_at(line, 1 + margin)))
    return _each_once(needed)


def _each_once(needed: list[NextSteps]) -> tuple[NextSteps, ...]:
    """Of those of one kind the largest amount that is known."""
    amounts: dict[Kind, int | None] = {}
    for each in needed:
        known = [a for a in (amounts.get(each.kind), each.amount) if a is not None]
        amounts[each.kind] = max(known, default=None)
    return tuple(NextSteps(kind, amount) for kind, amount in amounts.items())


def _size_at(line: EpochCost | None, bound: float) -> int | None:
    """The number of examples at which the lines' ratio is ``bound``; None if it never is."""
    if line is None:
        return None
    a, b = line.arm, line.baseline_arm
    gap = bound * b.marginal_s.value - a.marginal_s.value
    extra = a.fixed_s.value - bound * b.fixed_s.value
    return math.ceil(extra / gap) if gap > 0 and extra > 0 else None


def steps_for_target(times: TimeRatio) -> tuple[NextSteps, ...]:
    """What would tell whether a target is reached sooner."""
    needed = []
    if times.n == 0 or times.neither:
        needed.append(NextSteps("epochs", None))
    if times.parametric is not None and times.parametric.n > 1:
        needed.append(_more_of(times.parametric, abs(math.log(times.parametric.value))))
    elif times.n < _LEAST_BLOCKS:
        needed.append(NextSteps("blocks", _LEAST_BLOCKS - times.n))
    elif not needed:
        needed.append(NextSteps("blocks", None))
    return _each_once(needed)


def _more_of(found: Ratio, effect: float) -> NextSteps:
    """The blocks or sessions more that would see a log ratio of ``effect``."""
    kind: Kind = "sessions" if found.sessions > 1 else "blocks"
    if found.low is None or found.high is None or not 0 < found.low <= found.high < math.inf:
        return NextSteps(kind, None)
    from scipy import special

    half = math.log(found.high / found.low) / 2
    deviation = half * math.sqrt(found.n) / float(special.stdtrit(found.n - 1, 0.975))
    total = units_needed(deviation, math.expm1(effect)) if effect > 0 else None
    return NextSteps(kind, None if total is None else max(1, total - found.n))
