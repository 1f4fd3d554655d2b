"""Write ratios of epoch times: with intervals, between and within sessions, and block by block.

Usage:
    ratio_text(comparison.ratio)          # "1.47 [1.26, 1.71]"
    comparison_text(comparison)           # the same; with two blocks "1.46 (1.42; 1.51)"
    block_ratios_text(comparison)         # "1.42; 1.51; 1.48"
"""

from bench.analysis.comparison.compare import Comparison
from bench.analysis.statistics.intervals import Ratio
from bench.report.text.number_text import UNKNOWN, interval, number

RATIO_DIGITS = 3


def ratio_interval(value: float, low: float | None, high: float | None) -> str:
    """Return a ratio with the ends of its interval, if it has any."""
    return interval(value, low, high, RATIO_DIGITS)


def ratio_text(ratio: Ratio) -> str:
    """Return a ratio with its interval, if it has one."""
    return ratio_interval(ratio.value, ratio.low, ratio.high)


def comparison_text(comparison: Comparison) -> str:
    """Return the ratio with all that is known of its spread.

    With several sessions that is also the interval within sessions; with two blocks, which have no
    interval, it is the ratio of each.
    """
    ratio, within = comparison.ratio, comparison.within_sessions
    if ratio is None:
        return UNKNOWN
    if ratio.low is None and ratio.blocks > 1:
        return f"{ratio_text(ratio)} ({block_ratios_text(comparison)})"
    if within is None:
        return ratio_text(ratio)
    _, _, ends = ratio_interval(within.value, within.low, within.high).partition(" ")
    return f"{ratio_text(ratio)}; within sessions {ends}" if ends else ratio_text(ratio)


def block_ratios_text(comparison: Comparison) -> str:
    """Return the ratio of each block, in order."""
    return "; ".join(number(b.ratio, RATIO_DIGITS) for b in comparison.block_ratios) or UNKNOWN
