"""Format values: significant digits, SI prefixes, intervals, durations.

Usage:
    scale = scale_of([0.0712, 0.0833], METRICS["epoch_s"])     # milliseconds
    number(0.0712, digits=3, scale=scale)                      # "71.2"
    interval(0.71, 0.69, 0.73, digits=2)                       # "0.71 [0.69, 0.73]"
"""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from bench.records.metric import Metric

UNKNOWN = "–"
MAX_EXTRA_DECIMALS = 3

_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


@dataclass(frozen=True, slots=True)
class Scale:
    """The divisor for the numbers of a column, and the unit of the quotients."""

    divisor: float = 1.0
    unit: str = ""


UNSCALED = Scale()


def scale_of(values: Iterable[float], metric: Metric) -> Scale:
    """Return the scale that suits the median of ``values``, so that a column has one unit.

    Seconds never get a prefix above 1, and metrics without a unit get none.
    """
    sizes = [abs(v) for v in values if v and math.isfinite(v)]
    if not metric.unit or not sizes:
        return Scale(1.0, metric.unit)
    # A mean of logarithms of 1 GB may fall just below it: without the margin it is 1000 MB.
    median = statistics.median_low(sizes) * (1 + 1e-9)
    for divisor, prefix in _PREFIXES:
        if median >= divisor and not (metric.unit == "s" and divisor > 1):
            space = " " if prefix and len(metric.unit) > 2 else ""
            return Scale(divisor, f"{prefix}{space}{metric.unit}")
    return Scale(1.0, metric.unit)


def number(value: float | None, digits: int, scale: Scale = UNSCALED) -> str:
    """Return ``value`` with ``digits`` significant digits, or a dash if it is unknown."""
    if value is None or math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    scaled = value / scale.divisor
    return f"{scaled:.{_decimals(scaled, digits)}f}"


def magnitude(value: float, digits: int) -> str:
    """Return ``number``, or ``"1.2e-30"`` where the value is very large or very small."""
    if not math.isfinite(value) or value == 0 or 1e-3 <= abs(value) < 1e5:
        return number(value, digits)
    return f"{value:.{digits - 1}e}"


def interval(
    value: float | None, low: float | None, high: float | None, digits: int, scale: Scale = UNSCALED
) -> str:
    """Return ``"0.71 [0.69, 0.73]"``, or only the value if there is no interval.

    A narrow interval gets up to ``MAX_EXTRA_DECIMALS`` more, so that its bounds differ.
    """
    if value is None or low is None or high is None or not math.isfinite(high - low):
        return number(value, digits, scale)
    scaled = [v / scale.divisor for v in (value, low, high)]
    decimals = _decimals(scaled[0], digits)
    half_width = (scaled[2] - scaled[1]) / 2
    if half_width > 0:
        needed = min(_decimals(half_width, 1), decimals + MAX_EXTRA_DECIMALS)
        decimals = max(decimals, needed)
    shown, lowest, highest = (f"{v:.{decimals}f}" for v in scaled)
    return f"{shown} [{lowest}, {highest}]"


def duration(seconds: float | None) -> str:
    """Return a duration for people: ``"4.2 s"``, ``"3 min 20 s"``, ``"2 h 05 min"``."""
    if seconds is None:
        return UNKNOWN
    if seconds < 60:
        return f"{number(seconds, 2)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def percent(share: float | None) -> str:
    """Return a share of 1 in percent."""
    return UNKNOWN if share is None else f"{number(100 * share, 2)} %"


def plural(count: int, word: str) -> str:
    """Return ``"1 trial"`` or ``"2 trials"``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _decimals(value: float, digits: int) -> int:
    if value == 0:
        return 0
    rounded = float(f"{abs(value):.{max(0, digits - 1)}e}")  # 9.998 is 10.0, not 10.00
    return max(0, digits - 1 - math.floor(math.log10(rounded)))
