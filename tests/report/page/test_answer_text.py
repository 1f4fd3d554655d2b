"""The answer states the results of the analysis, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from bench.report.page.answer_text import answer
from bench.report.page.claim_section import claims
from bench.report.text.ratio_text import ratio_text
from bench.spec.plan import Trial
from tests.support.sample_pages import read, sweep_run
from tests.support.sample_records import NORMS, make_run, no_record

COST = {"none": 0.5, "bn_post": 0.75, "bn_pre": 0.5}


def answer_text(path: Path, suite: dict[str, Any] | None = None, **run_options: Any) -> str:
    run = read(make_run(path, suite or NORMS, **run_options))
    return " ".join(answer(run, claims(run)))


def test_a_ratio_has_its_interval_blocks_and_verdict(tmp_path: Path) -> None:
    def epoch_s(trial: Trial, _: int) -> float:
        return COST[trial.variant.norm] * (1 + 0.003 * (trial.order % 4))

    folder = make_run(tmp_path / "run", epoch_s=epoch_s)
    run = read(folder)
    text = " ".join(answer(run))
    for variant in run.summary.variants[1:]:
        comparison = variant.comparisons[0]
        assert comparison is not None and comparison.ratio is not None
        assert f"{variant.label} takes {ratio_text(comparison.ratio)} times as long" in text
    assert "norm=none (3 blocks): slower." in text
    assert "norm=none (3 blocks): not told apart." in text
    assert "for this session only" in text


def test_many_comparisons_are_counted_and_the_extremes_are_named(tmp_path: Path) -> None:
    run = read(sweep_run(tmp_path / "run"))
    text = " ".join(answer(run, claims(run)))
    assert "Of 8 variants compared with norm=none, all 8 take longer an epoch." in text
    assert "(examples=5500, global_batch_size=512, norm=bn_pre)" in text
    assert "22 of 24" not in text and "46 of 48 trials completed." in text


def test_the_claim_is_answered_with_counts(tmp_path: Path) -> None:
    run = read(sweep_run(tmp_path / "run"))
    answered = claims(run)
    trends = [c for c in answered if "at the largest size" in c.question]
    targets = [c for c in answered if "0.7 reached sooner" in c.question]
    assert (len(trends), len(targets)) == (4, 8)
    # With the large batch the cost is below 5 %, but rises with the size.
    assert [c.answer for c in trends] == ["no", "undecided"] * 2
    assert "Of 4 settings: no for 2, undecided for 2." in " ".join(answer(run, answered))


def test_without_comparisons_it_says_what_ran(tmp_path: Path) -> None:
    suite = {key: value for key, value in NORMS.items() if key != "compare"}
    text = answer_text(tmp_path / "run", suite)
    assert "3 variants ran in 3 blocks; the suite makes no comparison." in text
    assert "interval" not in text


def test_simulated_times_are_called_simulated(tmp_path: Path) -> None:
    assert answer_text(tmp_path / "run").startswith("These times are simulated, not measured.")


def test_a_run_without_records_has_no_results(tmp_path: Path) -> None:
    text = answer_text(tmp_path / "run", change=no_record)
    assert "No variant can be compared with norm=none yet" in text
    assert "0 of 9 trials completed." in text


def test_a_single_block_has_no_intervals(tmp_path: Path) -> None:
    text = answer_text(tmp_path / "run", {**NORMS, "blocks": 1})
    assert "too few blocks for an interval" in text
    assert "raise blocks" in text


@pytest.mark.parametrize("dataset", ["fashion_mnist", "synthetic"])
def test_accuracy_on_synthetic_data_is_not_reported(tmp_path: Path, dataset: str) -> None:
    text = answer_text(tmp_path / "run", {**NORMS, "variant": {"dataset": dataset}})
    assert ("highest mean test accuracy" in text) == (dataset == "fashion_mnist")
