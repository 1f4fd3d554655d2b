"""How far a mean, or a ratio of times, can be trusted: Student's t over trials and blocks.

Usage:
    mean_interval([0.81, 0.83, 0.80])          # Estimate(value=0.813, low=..., high=..., n=3)
    geometric_interval([0.71, 0.73, 0.70])     # the same on logarithms: of times and rates
    paired_ratio([1.4, 1.5], [0.7, 0.8])       # Ratio(value=1.94, ..., blocks=2, ...)

The unit is a block: one trial of each arm, run close together on the same devices. Epochs
are nested in trials and are never pooled as if independent. With fewer than 30 blocks a
bootstrap of blocks covers far less than it says, so there is none.
"""

import dataclasses
import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
POWER = 0.90
WANTED = 0.05
"""The slow-down for which a table says how many more blocks would find it."""
_MOST_UNITS = 1_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over ``n`` trials or sessions and its 95 % interval, None where n is 1.

    Of what cannot be below 0 the mean is geometric, and the interval above 0. That of a part of
    one stays within 0 and 1.
    """

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """The time of one arm over that of another, and its 95 % interval, None where n is 1."""

    value: float
    low: float | None
    high: float | None
    n: int
    """What the interval is over: blocks, or sessions where there are several."""
    blocks: int
    sessions: int
    detectable: float | None
    """The smallest ratio above 1 that so many blocks as noisy as these find in 9 of 10 cases."""
    further: int | None = None
    """Blocks, or sessions, to add to find one of 1 + ``WANTED`` as often; None beyond a million."""


def mean_interval(values: Sequence[float]) -> Estimate:
    """The mean of ``values``, one a trial, and its t interval. ValueError where it is empty."""
    return estimate(len(values), statistics.fmean(values), _deviation(values))


def geometric_interval(values: Sequence[float]) -> Estimate:
    """The geometric mean of positive ``values``, and the t interval of their logarithms.

    The mean of rates is then the inverse of the mean of times. ValueError where ``values`` is
    empty or holds one that is not positive.
    """
    logs = [math.log(value) for value in values]
    return geometric_estimate(len(logs), statistics.fmean(logs), _deviation(logs))


def part_of_one(found: Estimate) -> Estimate:
    """``found``, of what lies between 0 and 1, with its interval cut to that range.

    The mean lies there too, so the interval covers it as often as before.
    """
    if found.low is None or found.high is None:
        return found
    return dataclasses.replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))


def rate(count: float, seconds: Estimate) -> Estimate:
    """``count`` over ``seconds``, a geometric estimate; the interval is that of the times."""
    low, high = (
        None if end is None else count / end if end else math.inf
        for end in (seconds.high, seconds.low)
    )
    return Estimate(count / seconds.value, low, high, seconds.n)


def paired_ratio(
    a: Sequence[float], b: Sequence[float], sessions: Sequence[int] | None = None
) -> Ratio:
    """The mean over blocks of log(a / b), as a ratio, and its t interval.

    Args:
        a: time of one arm in each block, in seconds.
        b: time of the other in the same blocks, of the same length.
        sessions: in which session each block ran; with several, each gives one estimate and
            the interval is over sessions, since blocks of a session share its conditions.

    Raises:
        ValueError: where the lengths differ, there is no block, or a time is not positive.
    """
    logs = [math.log(x) - math.log(y) for x, y in zip(a, b, strict=True)]
    by_session: dict[int, list[float]] = {}
    for session, d in zip(sessions or [0] * len(logs), logs, strict=True):
        by_session.setdefault(session, []).append(d)
    units = [statistics.fmean(ds) for ds in by_session.values()] if len(by_session) > 1 else logs
    return ratio(len(units), statistics.fmean(units), _deviation(units), len(logs), len(by_session))


def estimate(n: int, mean: float, deviation: float) -> Estimate:
    """An estimate from the number, mean and standard deviation (ddof 1) of its values."""
    if n < 2:
        return Estimate(mean, None, None, n)
    half = _t_quantile(n) * deviation / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


def geometric_estimate(n: int, mean: float, deviation: float) -> Estimate:
    """An estimate from the number, mean and standard deviation of the logarithms."""
    logs = estimate(n, mean, deviation)
    low, high = (None if end is None else _exp(end) for end in (logs.low, logs.high))
    return Estimate(_exp(logs.value), low, high, n)


def ratio(n: int, mean: float, deviation: float, blocks: int, sessions: int) -> Ratio:
    """A ratio from the number, mean and standard deviation of its log ratios."""
    found = geometric_estimate(n, mean, deviation)
    needed = units_needed(deviation, WANTED) if n > 1 else None
    return Ratio(
        value=found.value,
        low=found.low,
        high=found.high,
        n=n,
        blocks=blocks,
        sessions=sessions,
        detectable=smallest_detectable_ratio(n, deviation),
        further=None if needed is None else max(0, needed - n),
    )


def smallest_detectable_ratio(n: int, deviation: float) -> float | None:
    """The ratio above 1 that a two-sided t test at 0.05 over ``n`` blocks finds with power 0.9.

    ``deviation`` is that of the log ratios. None where n is 1 or the ratio is beyond all floats.
    """
    if n < 2:
        return None
    shift = _noncentrality(n) * deviation / math.sqrt(n)
    return math.exp(shift) if shift < 700 else None


def units_needed(deviation: float, effect: float) -> int | None:
    """The blocks in all that see a ratio of 1 + ``effect`` in 9 of 10 cases.

    Sessions instead of blocks where ``deviation`` is theirs. None beyond a million.
    """
    normal = (_normal_quantile(0.5 + CONFIDENCE / 2) + _normal_quantile(POWER)) * deviation
    least = (normal / math.log1p(effect)) ** 2
    if least > _MOST_UNITS:
        return None
    # With few degrees of freedom it takes a little more than the normal distribution says.
    n = max(2, math.floor(least))
    while _noncentrality(n) * deviation / math.sqrt(n) > math.log1p(effect):
        n += 1
    return n


@functools.cache
def _normal_quantile(p: float) -> float:
    return statistics.NormalDist().inv_cdf(p)


@functools.cache
def _t_quantile(n: int) -> float:
    from scipy import special

    return float(special.stdtrit(n - 1, 0.5 + CONFIDENCE / 2))


@functools.cache
def _noncentrality(n: int) -> float:
    """Shift of the mean, in standard errors, at which the test over ``n`` has its power.

    The other tail adds nothing to the power here: J. Cohen, Statistical Power Analysis for the
    Behavioral Sciences, 2nd ed. 1988, section 2.
    """
    from scipy import special

    return float(special.nctdtrinc(n - 1, 1 - POWER, _t_quantile(n)))


def _exp(exponent: float) -> float:
    try:
        return math.exp(exponent)
    except OverflowError:  # so few values say nothing of how large it may be
        return math.inf


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else math.nan
