"""Estimate means and ratios of times with Student's t intervals over trials and blocks.

Usage:
    mean_interval([0.81, 0.83, 0.80])          # Estimate(value=0.813, low=..., high=..., n=3)
    geometric_interval([0.71, 0.73, 0.70])     # the same on logarithms, for times and rates
    paired_ratio([1.4, 1.5], [0.7, 0.8])       # Ratio(value=1.94, ..., blocks=2, ...)

The unit is a block: one trial of each arm, run close together on the same devices. Epochs are
nested in trials and are never pooled as if they were independent. There is no bootstrap of blocks,
because with fewer than 30 blocks it covers far less than its nominal level.
"""

import dataclasses
import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special

from bench.spec.suite import FEWEST_BLOCKS_FOR_INTERVAL

CONFIDENCE = 0.95
MIN_DF = 6
"""With fewer degrees of freedom a deviation gives no number of blocks. With 6, the 95 % interval of
the deviation is 0.64 to 2.2 times its estimate, and that of the number 0.4 to 4.8 times."""
POWER = 0.90
EFFECT_TO_DETECT = 0.05
"""The slow-down to which ``Ratio.further`` refers."""
_MAX_UNITS = 1_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over ``n`` trials or sessions with its 95 % interval; the ends are None if n is 1.

    For a quantity that cannot be negative, the mean is geometric and the interval is above 0. The
    interval of a fraction stays between 0 and 1.
    """

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """The time of one arm over that of another, with its 95 % interval.

    Below ``FEWEST_BLOCKS_FOR_INTERVAL`` there is no interval: the blocks' own ratios say as much.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    """The number of units of the interval: blocks, or sessions if there are several."""
    blocks: int
    sessions: int
    detectable: float | None
    """The smallest ratio above 1 that this many blocks with this noise detect with power 0.9."""
    further: int | None = None
    """Blocks or sessions to add to detect a ratio of 1 + ``EFFECT_TO_DETECT`` with power 0.9; None
    above a million."""


def mean_interval(values: Sequence[float]) -> Estimate:
    """Return the mean of ``values`` (one per trial) and its t interval.

    Raises ValueError if ``values`` is empty.
    """
    return estimate(len(values), statistics.fmean(values), _deviation(values))


def geometric_interval(values: Sequence[float]) -> Estimate:
    """Return the geometric mean of positive ``values`` and the t interval of their logarithms.

    The mean of rates is then the inverse of the mean of times. Raises ValueError if ``values`` is
    empty or contains a value that is not positive.
    """
    logs = [math.log(value) for value in values]
    return geometric_estimate(len(logs), statistics.fmean(logs), _deviation(logs))


def clamp_fraction(estimated: Estimate) -> Estimate:
    """Cut the interval of ``estimated``, the mean of a fraction, to the range from 0 to 1.

    The true mean lies in that range, so the coverage does not change.
    """
    if estimated.low is None or estimated.high is None:
        return estimated
    return dataclasses.replace(
        estimated, low=max(estimated.low, 0.0), high=min(estimated.high, 1.0)
    )


def t_interval(mean: float, error: float, df: int, n: int) -> Estimate:
    """Return exp(``mean``) with its t interval.

    ``error`` is the standard error of ``mean`` with ``df`` degrees of freedom, over ``n`` blocks.
    """
    half = float(special.stdtrit(df, 0.5 + CONFIDENCE / 2)) * error
    return Estimate(_exp(mean), _exp(mean - half), _exp(mean + half), n)


def rate(count: float, seconds: Estimate) -> Estimate:
    """Return ``count`` over ``seconds``, a geometric estimate, with the interval of the times."""
    low, high = (
        None if end is None else count / end if end else math.inf
        for end in (seconds.high, seconds.low)
    )
    return Estimate(count / seconds.value, low, high, seconds.n)


def paired_ratio(
    a: Sequence[float], b: Sequence[float], sessions: Sequence[int] | None = None
) -> Ratio:
    """Return the mean over blocks of log(a / b) as a ratio, with its t interval.

    Args:
        a: time of one arm in each block, in seconds.
        b: time of the other arm in the same blocks; of the same length.
        sessions: the session of each block. With several sessions, each gives one estimate and the
            interval is over sessions, because blocks of a session share its conditions.

    Raises:
        ValueError: if the lengths differ, there is no block, or a time is not positive.
    """
    logs = [math.log(x) - math.log(y) for x, y in zip(a, b, strict=True)]
    by_session: dict[int, list[float]] = {}
    for session, d in zip(sessions or [0] * len(logs), logs, strict=True):
        by_session.setdefault(session, []).append(d)
    units = [statistics.fmean(ds) for ds in by_session.values()] if len(by_session) > 1 else logs
    return ratio(len(units), statistics.fmean(units), _deviation(units), len(logs), len(by_session))


def estimate(n: int, mean: float, deviation: float, confidence: float = CONFIDENCE) -> Estimate:
    """Build an estimate from the number, mean and standard deviation (ddof 1) of its values."""
    if n < 2:
        return Estimate(mean, None, None, n)
    half = t_quantile(n - 1, confidence) * deviation / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


def geometric_estimate(
    n: int, mean: float, deviation: float, confidence: float = CONFIDENCE
) -> Estimate:
    """Build an estimate from the number, mean and standard deviation of the logarithms."""
    logs = estimate(n, mean, deviation, confidence)
    low, high = (None if end is None else _exp(end) for end in (logs.low, logs.high))
    return Estimate(_exp(logs.value), low, high, n)


def ratio(
    n: int,
    mean: float,
    deviation: float,
    blocks: int,
    sessions: int,
    confidence: float = CONFIDENCE,
) -> Ratio:
    """Build a ratio from the number, mean and standard deviation of the log ratios."""
    units = n if blocks >= FEWEST_BLOCKS_FOR_INTERVAL else 1
    estimated = geometric_estimate(units, mean, deviation, confidence)
    total = units_needed(deviation, EFFECT_TO_DETECT) if n > 1 else None
    return Ratio(
        value=estimated.value,
        low=estimated.low,
        high=estimated.high,
        n=n,
        blocks=blocks,
        sessions=sessions,
        detectable=smallest_detectable_ratio(n, deviation),
        further=None if total is None else max(0, total - n),
    )


def smallest_detectable_ratio(n: int, deviation: float) -> float | None:
    """Return the ratio above 1 that a two-sided t test at 0.05 detects with power 0.9.

    The test is over ``n`` blocks whose log ratios have the standard deviation ``deviation``. None
    if n is 1 or the ratio overflows.
    """
    if n < 2:
        return None
    shift = _noncentrality(n) * deviation / math.sqrt(n)
    return math.exp(shift) if shift < 700 else None


def units_needed(deviation: float, effect: float) -> int | None:
    """Return the total number of blocks that detect a ratio of 1 + ``effect`` with power 0.9.

    Sessions instead of blocks if ``deviation`` is over sessions. None above a million.
    """
    numerator = (_normal_quantile(0.5 + CONFIDENCE / 2) + _normal_quantile(POWER)) * deviation
    n_normal = (numerator / math.log1p(effect)) ** 2
    if n_normal > _MAX_UNITS:
        return None
    # With few degrees of freedom, t needs a few more units than the normal distribution.
    n = max(2, math.floor(n_normal))
    while _noncentrality(n) * deviation / math.sqrt(n) > math.log1p(effect):
        n += 1
    return n


def blocks_for_half_width(deviation: float, half_width: float) -> int | None:
    """Return the least number of blocks whose t interval is at most ``half_width`` wide each way.

    ``deviation`` is that of a block's log ratio; the upper end of an interval of a half width of
    0.02 is 1.02 times the ratio. None above a million.
    """
    wanted = math.log1p(half_width)
    n = math.floor((_normal_quantile(0.5 + CONFIDENCE / 2) * deviation / wanted) ** 2)
    if n > _MAX_UNITS:
        return None
    # With few degrees of freedom, t needs a few more blocks than the normal distribution.
    n = max(FEWEST_BLOCKS_FOR_INTERVAL, n)
    while t_quantile(n - 1) * deviation / math.sqrt(n) > wanted:
        n += 1
    return n


@functools.cache
def _normal_quantile(p: float) -> float:
    return statistics.NormalDist().inv_cdf(p)


@functools.cache
def t_quantile(df: float, confidence: float = CONFIDENCE) -> float:
    """Return the bound that Student's t with ``df`` degrees of freedom exceeds on neither side."""
    return float(special.stdtrit(df, 0.5 + confidence / 2))


@functools.cache
def _noncentrality(n: int) -> float:
    """Return the shift of the mean, in standard errors, at which the test reaches its power.

    The other tail adds nothing to the power here: J. Cohen, Statistical Power Analysis for the
    Behavioral Sciences, 2nd ed. 1988, section 2.
    """
    return float(special.nctdtrinc(n - 1, 1 - POWER, t_quantile(n - 1)))


def _exp(exponent: float) -> float:
    try:
        return math.exp(exponent)
    except OverflowError:  # so few values set no bound
        return math.inf


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else math.nan
