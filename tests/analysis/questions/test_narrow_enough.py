"""A run folder's records, looked at as a report sees them."""

import math
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.questions.narrow_enough import narrow_enough
from bench.analysis.summary import summarize
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial
from bench.spec.suite import parse_suite
from tests.support.sample_records import NORMS, make_run

SUITE: dict[str, Any] = {**NORMS, "blocks": 6, "precision": 0.02}


def epoch_s(trial: Trial, _epoch: int) -> float:
    """Log ratios whose noise depends on the arm and the block."""
    return 0.5 * math.exp(0.02 * math.sin(1 + 7 * trial.order))


def test_a_look_has_the_widths_of_the_report(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", SUITE, epoch_s=epoch_s)
    stopping = narrow_enough(folder, parse_suite(SUITE))
    assert (stopping.blocks, stopping.comparisons, stopping.confidence) == (6, 2, 0.96)
    folder.write_info(folder.info().model_copy(update={"stopping": stopping}))
    variants = summarize(folder.path).variants
    ratios = {v.variant_id: c.ratio for v in variants for c in v.comparisons if c and c.ratio}
    widths = {name: (r.high or 0.0) / r.value - 1 for name, r in ratios.items()}
    assert stopping.widest == pytest.approx(max(widths.values()))
    assert stopping.widest_pair is not None
    assert widths[stopping.widest_pair.variant_id] == max(widths.values())


def test_an_interval_is_wider_if_a_run_of_few_comparisons_stopped_on_it(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", SUITE, epoch_s=epoch_s)
    fixed = summarize(folder.path).variants[1].comparisons[0]
    stopping = narrow_enough(folder, parse_suite(SUITE))
    folder.write_info(folder.info().model_copy(update={"stopping": stopping}))
    stopped = summarize(folder.path).variants[1].comparisons[0]
    assert fixed and fixed.ratio and stopped and stopped.ratio
    assert stopped.ratio.value == fixed.ratio.value
    assert (stopped.ratio.low or 0.0) < (fixed.ratio.low or 0.0)
    assert (stopped.ratio.high or 0.0) > (fixed.ratio.high or 0.0)


def test_only_blocks_that_a_report_uses_count(tmp_path: Path) -> None:
    def failing(record: TrialRecord) -> TrialRecord:
        trial = record.trial
        if trial.variant.norm == "bn_pre" and trial.block == 2:
            return record.model_copy(update={"status": "failed"})
        return record

    folder = make_run(tmp_path / "run", SUITE, epoch_s=epoch_s, change=failing)
    stopping = narrow_enough(folder, parse_suite(SUITE))
    assert (stopping.comparisons, stopping.left_out) == (2, ())
    assert stopping.rule is None


def test_two_variants_that_are_compared_twice_count_once(tmp_path: Path) -> None:
    twice = {**SUITE, "matrix": {"norm": ["none", "bn_post"]}}
    folder = make_run(tmp_path / "run", twice, epoch_s=epoch_s)
    info = folder.info()
    (pair,) = info.pairs
    again = pair.model_copy(update={"axis": "label"})
    folder.write_info(info.model_copy(update={"pairs": (pair, again)}))
    stopping = narrow_enough(folder, parse_suite(twice))
    assert (stopping.comparisons, stopping.df) == (1, 5)


def test_a_suite_without_a_precision_is_refused(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with pytest.raises(ValueError, match="no precision"):
        narrow_enough(folder, parse_suite(NORMS))
