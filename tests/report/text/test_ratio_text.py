"""Tests of a ratio's text with few blocks and with several sessions."""

from bench.analysis.comparison.compare import BlockRatio, Comparison
from bench.analysis.statistics.intervals import Estimate, Ratio
from bench.report.text.ratio_text import block_ratios_text, comparison_text


def comparison(*ratios: float, low: float | None = None, sessions: int = 1) -> Comparison:
    high = None if low is None else 1.46**2 / low
    blocks = tuple(BlockRatio(i, i * sessions // len(ratios), r) for i, r in enumerate(ratios))
    ratio = Ratio(1.46, low, high, len(ratios), len(ratios), sessions, None)
    within = Estimate(1.46, 1.44, 1.48, len(ratios)) if sessions > 1 else None
    return Comparison(ratio if ratios else None, within, blocks, len(blocks), 0, 0, 0, 0, ())


def test_two_blocks_stand_in_for_an_interval() -> None:
    assert comparison_text(comparison(1.42, 1.5)) == "1.46 (1.42; 1.50)"
    assert comparison_text(comparison(1.46)) == "1.46"
    assert comparison_text(comparison()) == "–"


def test_several_sessions_have_both_intervals() -> None:
    text = comparison_text(comparison(1.4, 1.5, 1.45, 1.5, low=1.2, sessions=2))
    assert text == "1.46 [1.20, 1.78]; within sessions [1.44, 1.48]"


def test_blocks_are_listed_in_order() -> None:
    assert block_ratios_text(comparison(1.5, 1.42, 1.46, low=1.3)) == "1.50; 1.42; 1.46"
