"""A run in one row a variant: estimates, comparisons, failures, and what is left out."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.analysis.comparison.comparison_columns import ComparisonColumn
from bench.analysis.loading.data_frames import load_trials
from bench.analysis.statistics.paired import (
    Estimate,
    Ratio,
    geometric_interval,
    mean_interval,
    paired_ratio,
)
from bench.analysis.summary import Crowded, Failures, Summary, VariantSummary, summarize
from bench.records.run_folder import RunFolder
from bench.records.trial_record import MUCH_TAKEN, TrialRecord
from bench.spec.plan import Trial
from tests.support.sample_records import NORMS, made_record, made_run, no_record

COST = {"none": 0.7, "bn_post": 1.4, "bn_pre": 1.3}
Change = Callable[[TrialRecord], TrialRecord | None]


def noisy(trial: Trial, epoch: int) -> float:
    rng = np.random.default_rng([trial.order, epoch])
    return COST.get(trial.variant.norm, 1.0) * (1 + 0.01 * float(rng.normal()))


def only(norm: str, block: int, **update: Any) -> Change:
    """A change of one trial."""

    def change(record: TrialRecord) -> TrialRecord:
        wanted = record.trial.variant.norm == norm and record.trial.block == block
        return record.model_copy(update=update) if wanted else record

    return change


def agree(found: Estimate | Ratio | None, expected: Estimate | Ratio) -> bool:
    """Equal but for rounding."""
    assert type(found) is type(expected)
    return bool(dataclasses.asdict(found) == pytest.approx(dataclasses.asdict(expected)))


def of(summary: Summary, label: str) -> VariantSummary:
    return next(v for v in summary.variants if v.label == label)


def test_every_number_can_be_recomputed_from_the_trials(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", epoch_s=noisy)
    trials = load_trials(folder.path).sort_values("block")
    times = {norm: rows["epoch_s"].tolist() for norm, rows in trials.groupby("norm")}
    speeds = trials.query("norm == 'bn_pre'")["examples_per_s"].tolist()
    row = of(summarize(folder.path), "norm=bn_pre")
    assert agree(row.epoch_s, geometric_interval(times["bn_pre"]))
    assert agree(row.examples_per_s, geometric_interval(speeds))
    accuracies = trials.query("norm == 'bn_pre'")["val_accuracy"].tolist()
    assert agree(row.val_accuracy, mean_interval(accuracies))
    comparison = row.comparisons[0]
    assert comparison is not None and comparison.ratio is not None
    expected = paired_ratio(times["bn_pre"], times["none"])
    assert agree(comparison.ratio, expected)
    assert (comparison.dropped_blocks, comparison.split_blocks) == (0, 0)


def test_no_interval_of_a_time_or_a_rate_goes_below_zero(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", epoch_s=lambda trial, _: 10.0**trial.block)
    for row in summarize(folder.path).variants:
        for found in (row.epoch_s, row.examples_per_s):
            assert found is not None and found.low is not None and found.high is not None
            assert 0 < found.low < found.value < found.high
        assert row.epoch_s is not None and row.epoch_s.value == pytest.approx(10)


def test_an_interval_of_an_accuracy_stays_within_0_and_1(tmp_path: Path) -> None:
    def apart(record: TrialRecord) -> TrialRecord:
        accuracy = (0.01, 0.99, 0.99)[record.trial.block]
        measures = record.measures.model_copy(update={"test_accuracy": accuracy})
        return record.model_copy(update={"measures": measures})

    for row in summarize(made_run(tmp_path / "run", change=apart).path).variants:
        assert row.test_accuracy is not None
        assert (row.test_accuracy.low, row.test_accuracy.high) == (0.0, 1.0)
        assert row.test_accuracy.value == pytest.approx((0.01 + 0.99 + 0.99) / 3)


def test_the_faster_arm_by_epoch_time_has_the_higher_throughput(tmp_path: Path) -> None:
    def slow_once(trial: Trial, epoch: int) -> float:
        if trial.variant.norm == "none":
            return 1.0 if epoch < 3 else 9.0  # the lower median, and the lower mean of rates
        return 2.0

    suite = {**NORMS, "variant": {"epochs": 4}}
    folder = made_run(tmp_path / "run", suite, epoch_s=slow_once)
    mean = load_trials(folder.path).groupby("norm")["examples_per_s"].first()
    assert mean["none"] < mean["bn_post"]
    none, bn_post, _ = summarize(folder.path).variants
    for row in (none, bn_post):
        assert row.epoch_s is not None and row.examples_per_s is not None
        examples = 55_000 // 32 * 32
        assert row.examples_per_s.value * row.epoch_s.value == pytest.approx(examples)
    assert none.examples_per_s is not None and bn_post.examples_per_s is not None
    assert none.examples_per_s.value > bn_post.examples_per_s.value


def test_rows_come_in_the_suites_order_and_columns_name_the_baseline(tmp_path: Path) -> None:
    summary = summarize(made_run(tmp_path / "run").path)
    assert [v.label for v in summary.variants] == ["norm=none", "norm=bn_post", "norm=bn_pre"]
    assert summary.columns == (ComparisonColumn("norm", "none"),)
    assert [v.baseline_of for v in summary.variants] == [(True,), (False,), (False,)]
    assert summary.variants[0].comparisons == (None,)


def test_a_trial_that_did_not_complete_enters_no_mean_and_its_block_no_ratio(
    tmp_path: Path,
) -> None:
    lost = only("bn_post", 1, status="diverged", error="the loss was nan")
    folder = made_run(tmp_path / "run", epoch_s=noisy, change=lost)
    row = of(summarize(folder.path), "norm=bn_post")
    trials = load_trials(folder.path).query("block != 1").sort_values("block")
    ours = trials.query("norm == 'bn_post'")["epoch_s"].tolist()
    theirs = trials.query("norm == 'none'")["epoch_s"].tolist()
    assert (row.completed, row.planned) == (2, 3)
    assert row.failures == (Failures("diverged", 1, "the loss was nan"),)
    assert agree(row.epoch_s, geometric_interval(ours))
    comparison = row.comparisons[0]
    assert comparison is not None
    assert comparison.dropped_blocks == 1
    assert agree(comparison.ratio, paired_ratio(ours, theirs))


def test_a_failed_baseline_drops_the_block_for_all_that_are_compared_with_it(
    tmp_path: Path,
) -> None:
    summary = summarize(
        made_run(tmp_path / "run", change=only("none", 0, status="failed", error="x")).path
    )
    dropped = [c.dropped_blocks for v in summary.variants for c in v.comparisons if c]
    assert dropped == [1, 1]


def test_a_block_whose_arms_ran_in_different_invocations_is_left_out(tmp_path: Path) -> None:
    folder = made_run(
        tmp_path / "run", change=only("bn_pre", 2, invocation=1), epoch_s=noisy, invocations=2
    )
    comparison = of(summarize(folder.path), "norm=bn_pre").comparisons[0]
    assert comparison is not None and comparison.ratio is not None
    assert (comparison.split_blocks, comparison.dropped_blocks) == (1, 0)
    assert (comparison.ratio.blocks, comparison.ratio.sessions) == (2, 1)


def test_where_every_block_is_left_out_there_is_no_ratio(tmp_path: Path) -> None:
    def resumed(record: TrialRecord) -> TrialRecord:
        return record.model_copy(update={"invocation": int(record.trial.variant.norm != "none")})

    folder = made_run(tmp_path / "run", {**NORMS, "blocks": 1}, change=resumed, invocations=2)
    comparison = of(summarize(folder.path), "norm=bn_pre").comparisons[0]
    assert comparison is not None
    assert (comparison.ratio, comparison.split_blocks) == (None, 1)


def test_blocks_of_several_sessions_count_as_one_estimate_a_session(tmp_path: Path) -> None:
    folder = resumed_after(tmp_path / "run", "2026-01-02T00:00:00Z")
    trials = load_trials(folder.path).sort_values("block")
    ours = trials.query("norm == 'bn_pre'")["epoch_s"].tolist()
    theirs = trials.query("norm == 'none'")["epoch_s"].tolist()
    summary = summarize(folder.path)
    row = of(summary, "norm=bn_pre")
    assert summary.sessions == 2
    assert row.comparisons[0] is not None
    expected = paired_ratio(ours, theirs, sessions=[0, 0, 1])
    assert agree(row.comparisons[0].ratio, expected)
    means = [math.sqrt(ours[0] * ours[1]), ours[2]]
    assert agree(row.epoch_s, geometric_interval(means))
    # Accuracy does not depend on a session's clocks: every trial counts.
    assert row.val_accuracy is not None
    assert row.val_accuracy.n == 3


def test_a_run_resumed_soon_is_one_session_and_every_block_counts(tmp_path: Path) -> None:
    folder = resumed_after(tmp_path / "run", "2026-01-01T00:10:00Z")
    trials = load_trials(folder.path).sort_values("block")
    ours = trials.query("norm == 'bn_pre'")["epoch_s"].tolist()
    theirs = trials.query("norm == 'none'")["epoch_s"].tolist()
    summary = summarize(folder.path)
    row = of(summary, "norm=bn_pre")
    assert summary.sessions == 1
    assert row.comparisons[0] is not None
    assert agree(row.comparisons[0].ratio, paired_ratio(ours, theirs))
    assert agree(row.epoch_s, geometric_interval(ours))


def resumed_after(path: Path, started_at: str) -> RunFolder:
    """A run whose last block ran in a second invocation, begun then."""

    def second(record: TrialRecord) -> TrialRecord:
        return record.model_copy(update={"invocation": int(record.trial.block == 2)})

    folder = made_run(path, epoch_s=noisy, change=second, invocations=2)
    info = folder.info()
    first, last = info.invocations
    calls = (first, last.model_copy(update={"started_at": started_at}))
    folder.write_info(info.model_copy(update={"invocations": calls}))
    return folder


def test_another_resolved_setting_is_flagged_where_it_was_used(tmp_path: Path) -> None:
    folder = made_run(
        tmp_path / "run", change=only("bn_post", 1, resolved={"xla": False, "window_steps": 100})
    )
    summary = summarize(folder.path)
    flagged = {
        v.label: {(c.key, c.value, c.baseline) for c in v.comparisons[0].confounds}
        for v in summary.variants
        if v.comparisons[0]
    }
    assert flagged["norm=bn_pre"] == set()
    assert ("xla", False, True) in flagged["norm=bn_post"]


def test_listed_variants_may_differ_in_what_they_say_they_differ_in(tmp_path: Path) -> None:
    suite = {
        "name": "listed",
        "blocks": 2,
        "variants": [
            {"label": "plain"},
            {"label": "half", "precision": "mixed_bfloat16", "jit": "step"},
        ],
        "compare": [{"axis": "label", "baseline": "plain"}],
    }

    def resolve(record: TrialRecord) -> TrialRecord:
        threads = 2 if record.trial.label == "plain" else 4
        policy = record.trial.variant.precision
        return record.model_copy(update={"resolved": {"policy": policy, "threads": threads}})

    summary = summarize(made_run(tmp_path / "run", suite, change=resolve).path)
    comparison = of(summary, "half").comparisons[0]
    assert summary.columns == (ComparisonColumn("label", "plain"),)
    assert comparison is not None
    assert [c.key for c in comparison.confounds] == ["threads"]


def test_two_comparisons_give_two_columns(tmp_path: Path) -> None:
    suite = {
        **NORMS,
        "matrix": {"norm": ["none", "bn_post"], "per_replica_batch_size": [32, 512]},
        "compare": [
            {"axis": "norm", "baseline": "none"},
            {"axis": "per_replica_batch_size", "baseline": 32},
        ],
    }
    summary = summarize(made_run(tmp_path / "run", suite).path)
    assert summary.columns == (
        ComparisonColumn("norm", "none"),
        ComparisonColumn("per_replica_batch_size", "32"),
    )
    both = of(summary, "norm=bn_post, per_replica_batch_size=512")
    assert all(comparison and comparison.ratio for comparison in both.comparisons)


def test_a_run_that_has_only_begun_still_has_a_row_for_every_variant(tmp_path: Path) -> None:
    summary = summarize(made_run(tmp_path / "run", change=no_record).path)
    assert [(v.completed, v.planned, v.epoch_s) for v in summary.variants] == [(0, 3, None)] * 3
    comparison = summary.variants[1].comparisons[0]
    assert comparison is not None
    assert (comparison.ratio, comparison.dropped_blocks) == (None, 3)
    assert summary.columns == (ComparisonColumn("norm", "none"),)
    assert summary.sessions == 0


def test_a_suite_without_comparisons_has_no_columns(tmp_path: Path) -> None:
    summary = summarize(made_run(tmp_path / "run", {**NORMS, "compare": []}).path)
    assert summary.columns == ()
    assert {v.comparisons for v in summary.variants} == {()}


def test_a_single_block_has_ratios_without_intervals(tmp_path: Path) -> None:
    summary = summarize(made_run(tmp_path / "run", {**NORMS, "blocks": 1}, epoch_s=noisy).path)
    comparison = summary.variants[1].comparisons[0]
    assert comparison is not None and comparison.ratio is not None
    assert math.isclose(comparison.ratio.value, 2, rel_tol=0.1)
    assert (comparison.ratio.low, comparison.ratio.detectable) == (None, None)


def test_synthetic_data_and_throttling_are_known(tmp_path: Path) -> None:
    def hot(record: TrialRecord) -> TrialRecord:
        throttled = record.trial.block == 0
        measures = record.measures.model_copy(update={"throttled": throttled})
        return record.model_copy(update={"measures": measures})

    suite = {**NORMS, "variant": {"dataset": "synthetic"}}
    row = summarize(made_run(tmp_path / "run", suite, change=hot).path).variants[0]
    assert (row.synthetic, row.throttled) == (True, 1)


def test_trials_on_cores_that_others_used_are_counted_with_the_worst_of_them(
    tmp_path: Path,
) -> None:
    shares = {0: 0.25, 1: 0.5, 2: MUCH_TAKEN}

    def busy(record: TrialRecord) -> TrialRecord:
        share = shares[record.trial.block] if record.trial.variant.norm == "none" else None
        measures = record.measures.model_copy(update={"cpu_taken_share": share})
        return record.model_copy(update={"measures": measures})

    summary = summarize(made_run(tmp_path / "run", {**NORMS, "blocks": 3}, change=busy).path)
    first, *others = [variant.crowded for variant in summary.variants]
    assert first == Crowded(count=2, largest_share=0.5)
    assert set(others) == {None}


def test_a_retried_trial_counts_once_and_is_told(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", change=only("none", 0, status="worker_lost", error="x"))
    lost = next(r for r in folder.records() if r.status == "worker_lost")
    folder.write(made_record(lost.trial).model_copy(update={"attempt": 2}))
    summary = summarize(folder.path)
    assert (summary.completed, summary.trials, summary.retried) == (9, 9, 1)
    assert of(summary, "norm=none").failures == ()


def test_wall_time_is_split_into_what_was_measured_and_the_rest(tmp_path: Path) -> None:
    def looking(record: TrialRecord) -> TrialRecord:
        measures = record.measures.model_copy(update={"health_s": 0.5})
        return record.model_copy(update={"measures": measures})

    folder = made_run(tmp_path / "run", change=looking)
    trials = load_trials(folder.path)
    wall = summarize(folder.path).wall
    assert wall.training_s == pytest.approx(trials["train_s"].sum())
    assert (wall.import_s, wall.cold_start_s, wall.health_s) == pytest.approx((18.0, 9.0, 4.5))
    parts = (
        *(wall.training_s, wall.import_s, wall.data_load_s, wall.build_s),
        *(wall.cold_start_s, wall.evaluate_s, wall.health_s, wall.idle_s),
    )
    assert sum(part for part in parts if part) == pytest.approx(wall.total_s)
    assert wall.training_share == pytest.approx(trials["train_s"].sum() / wall.total_s)


def test_each_lane_has_its_own_wall_time(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run")
    info = folder.info()
    calls = tuple(c.model_copy(update={"lanes": 2, "wall_s": 60.0}) for c in info.invocations)
    folder.write_info(info.model_copy(update={"invocations": calls}))
    assert summarize(folder.path).wall.total_s == 120


def test_a_killed_invocation_took_at_least_as_long_as_its_trials(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run")
    info = folder.info()
    calls = tuple(c.model_copy(update={"wall_s": None}) for c in info.invocations)
    folder.write_info(info.model_copy(update={"invocations": calls}))
    total = load_trials(folder.path)["wall_s"].sum()
    assert summarize(folder.path).wall.total_s == pytest.approx(total)


def test_times_that_exceed_the_wall_leave_idle_unknown(tmp_path: Path) -> None:
    wall = summarize(made_run(tmp_path / "run", epoch_s=lambda _t, _e: 1e6).path).wall
    assert wall.idle_s is not None
    folder = made_run(tmp_path / "simulated")
    info = folder.info()
    calls = tuple(c.model_copy(update={"wall_s": 0.1}) for c in info.invocations)
    folder.write_info(info.model_copy(update={"invocations": calls}))
    simulated = summarize(folder.path).wall
    assert (simulated.idle_s, simulated.training_share) == (None, None)
