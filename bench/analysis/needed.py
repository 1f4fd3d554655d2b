"""What would decide a question that a run left undecided: blocks, sessions, sizes, epochs."""

import math
from dataclasses import dataclass
from typing import Literal

from bench.analysis.cost import Cost
from bench.analysis.overhead import Point, further_units
from bench.analysis.paired import Ratio, units_needed
from bench.analysis.time_to_accuracy import TimeRatio

Answer = Literal["yes", "no", "undecided"]
Kind = Literal["blocks", "settled_blocks", "sessions", "sizes", "larger_size", "epochs"]
_LEAST_BLOCKS = 6
"""Of fewer, order statistics give no 95 % interval."""


@dataclass(frozen=True, slots=True)
class Needed:
    """What would decide."""

    kind: Kind
    amount: int | None
    """How many more blocks, sessions or sizes; the size itself; None where it cannot be said."""


def falls_needs(
    falls: Answer,
    vanishes: Answer,
    over_range: Ratio | None,
    largest: Point | None,
    line: Cost | None,
    margin: float,
    sizes: int,
) -> tuple[Needed, ...]:
    """What would tell whether a ratio falls toward 1; ``sizes`` is how many were asked for."""
    if sizes < 2:
        return (Needed("sizes", 2 - sizes),)
    if over_range is None:  # no block has trials that settled at two sizes
        return (Needed("settled_blocks", None),)
    needed = []
    if falls == "undecided":
        # Yes is an interval below 1, no is one above 1 / (1 + margin): whichever is further off.
        away = math.log(over_range.value)
        needed.append(_more_of(over_range, max(-away, away + math.log1p(margin))))
    if vanishes == "undecided" and largest is not None and largest.ratio is not None:
        away = abs(largest.ratio.value / (1 + margin) - 1)
        more = further_units(largest, max(away, margin / 5))
        needed.append(Needed("sessions" if largest.ratio.sessions > 1 else "blocks", more))
    if vanishes == "no":
        needed.append(Needed("larger_size", _size_at(line, 1 + margin)))
    return _each_once(needed)


def _each_once(needed: list[Needed]) -> tuple[Needed, ...]:
    """Of those of one kind the largest amount that is known."""
    amounts: dict[Kind, int | None] = {}
    for each in needed:
        known = [a for a in (amounts.get(each.kind), each.amount) if a is not None]
        amounts[each.kind] = max(known, default=None)
    return tuple(Needed(kind, amount) for kind, amount in amounts.items())


def _size_at(line: Cost | None, bound: float) -> int | None:
    """The number of examples at which the lines' ratio is ``bound``; None if it never is."""
    if line is None:
        return None
    a, b = line.arm, line.baseline_arm
    gap = bound * b.marginal_s.value - a.marginal_s.value
    extra = a.fixed_s.value - bound * b.fixed_s.value
    return math.ceil(extra / gap) if gap > 0 and extra > 0 else None


def sooner_needs(times: TimeRatio) -> tuple[Needed, ...]:
    """What would tell whether a target is reached sooner."""
    needed = []
    if times.n == 0 or times.neither:
        needed.append(Needed("epochs", None))
    if times.parametric is not None and times.parametric.n > 1:
        needed.append(_more_of(times.parametric, abs(math.log(times.parametric.value))))
    elif times.n < _LEAST_BLOCKS:
        needed.append(Needed("blocks", _LEAST_BLOCKS - times.n))
    elif not needed:
        needed.append(Needed("blocks", None))
    return _each_once(needed)


def _more_of(found: Ratio, effect: float) -> Needed:
    """The blocks or sessions more that would see a log ratio of ``effect``."""
    kind: Kind = "sessions" if found.sessions > 1 else "blocks"
    if found.low is None or found.high is None or not 0 < found.low <= found.high < math.inf:
        return Needed(kind, None)
    from scipy import special

    half = math.log(found.high / found.low) / 2
    deviation = half * math.sqrt(found.n) / float(special.stdtrit(found.n - 1, 0.975))
    total = units_needed(deviation, math.expm1(effect)) if effect > 0 else None
    return Needed(kind, None if total is None else max(1, total - found.n))
