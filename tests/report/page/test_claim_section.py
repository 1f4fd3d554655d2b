"""Each question has the numbers that decide it, with their caveats."""

import dataclasses
from pathlib import Path

from bench.analysis.comparison.confounds import Confound
from bench.analysis.questions.large_data_claim import ratio_trends
from bench.analysis.variant_summary import VariantSummary
from bench.report.charts.report_data import ReportData
from bench.report.page.claim_section import _capped_sizes, _trend_claim, claims
from tests.support.sample_pages import SWEEP, read, sweep_run
from tests.support.sample_records import make_run


def test_an_answer_has_the_sizes_and_the_cost_that_decide_it(tmp_path: Path) -> None:
    (claim,) = (
        c
        for c in claims(read(sweep_run(tmp_path / "run")))
        if "=32" in c.setting and "bn_pre" in c.setting and "largest size" in c.question
    )
    assert "at 5500 examples, " in claim.numbers
    assert "at 55000 examples; change from 5500 to 55000 examples (4 blocks) × " in claim.numbers
    assert "of each further example's cost, extrapolated, 1." in claim.numbers
    assert "(too few sizes or blocks to see whether lines fit: it decides nothing)" in claim.numbers
    assert "(extrapolated)" not in claim.numbers and "confounded" not in claim.numbers


def test_a_median_time_names_the_blocks_that_its_interval_takes(tmp_path: Path) -> None:
    first = next(c for c in claims(read(sweep_run(tmp_path / "run"))) if "sooner" in c.question)
    assert "ratio of times: median 0.937 (its interval takes 6 blocks), mean 0.9" in first.numbers
    assert (first.answer, first.next_steps) == ("undecided", "2 more blocks")


def test_a_size_whose_epochs_were_cut_short_is_marked(tmp_path: Path) -> None:
    suite = {**SWEEP, "variant": {**SWEEP["variant"], "max_steps": 200}}
    variants = read(make_run(tmp_path / "capped", suite)).variants
    small, large = (variants[variants["global_batch_size"] == size] for size in (32, 512))
    assert (_capped_sizes(small), _capped_sizes(large)) == ({55_000}, set())
    run = read(sweep_run(tmp_path / "run"))
    trend = ratio_trends(run.trials, "norm", "none")[0]
    numbers = _trend_claim(trend, {55_000}, "").numbers
    assert "at 55000 examples (extrapolated); change" in numbers
    assert "at 5500 examples, " in numbers


def test_a_confounded_arm_is_marked(tmp_path: Path) -> None:
    run = read(sweep_run(tmp_path / "run"))
    first = next(v for v in run.summary.variants if v.comparisons[0] is not None)
    (compared,) = first.comparisons
    assert compared is not None
    flagged = dataclasses.replace(compared, confounds=(Confound("xla", True, False),))
    changed = tuple(
        dataclasses.replace(v, comparisons=(flagged,)) if v is first else v
        for v in run.summary.variants
    )
    again = _with(run, changed)
    marked = [c.setting for c in claims(again) if "the arms differ in xla too" in c.numbers]
    settings = again.variants.loc[first.variant_id]
    assert marked
    for setting in marked:
        assert f"norm={settings['norm']}" in setting
        assert f"global_batch_size={settings['global_batch_size']}" in setting


def _with(run: ReportData, variants: tuple[VariantSummary, ...]) -> ReportData:
    summary = dataclasses.replace(run.summary, variants=variants)
    return dataclasses.replace(run, summary=summary)
