"""Tests of a run's summary: estimates, comparisons, failures and unused trials."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.analysis.comparison.comparison_columns import ComparisonColumn
from bench.analysis.loading.data_frames import load_trials
from bench.analysis.statistics.intervals import (
    Estimate,
    Ratio,
    geometric_interval,
    mean_interval,
    paired_ratio,
)
from bench.analysis.summary import Summary, summarize
from bench.analysis.variant_summary import CpuContention, FailureGroup, VariantSummary
from bench.records.run_folder import RunFolder
from bench.records.trial_record import MAX_TAKEN_SHARE, TrialRecord
from bench.spec.plan import Trial
from tests.support.sample_records import NORMS, make_record, make_run, no_record

COST = {"none": 0.7, "bn_post": 1.4, "bn_pre": 1.3}
Change = Callable[[TrialRecord], TrialRecord | None]


def noisy(trial: Trial, epoch: int) -> float:
    rng = np.random.default_rng([trial.order, epoch])
    return COST.get(trial.variant.norm, 1.0) * (1 + 0.01 * float(rng.normal()))


def change_one(norm: str, block: int, **update: Any) -> Change:
    """Return a ``change`` of one trial."""

    def change(record: TrialRecord) -> TrialRecord:
        matches = record.trial.variant.norm == norm and record.trial.block == block
        return record.model_copy(update=update) if matches else record

    return change


def agree(estimate: Estimate | Ratio | None, expected: Estimate | Ratio) -> bool:
    """Return whether two estimates are equal up to rounding."""
    assert type(estimate) is type(expected)
    return bool(dataclasses.asdict(estimate) == pytest.approx(dataclasses.asdict(expected)))


def variant_of(summary: Summary, label: str) -> VariantSummary:
    return next(v for v in summary.variants if v.label == label)


def test_numbers_can_be_recomputed_from_the_trials(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", epoch_s=noisy)
    trials = load_trials(folder.path).sort_values("block")
    times = {norm: rows["epoch_s"].tolist() for norm, rows in trials.groupby("norm")}
    speeds = trials.query("norm == 'bn_pre'")["examples_per_s"].tolist()
    row = variant_of(summarize(folder.path), "norm=bn_pre")
    assert agree(row.epoch_s, geometric_interval(times["bn_pre"]))
    assert agree(row.examples_per_s, geometric_interval(speeds))
    accuracies = trials.query("norm == 'bn_pre'")["val_accuracy"].tolist()
    assert agree(row.val_accuracy, mean_interval(accuracies))
    comparison = row.comparisons[0]
    assert comparison is not None and comparison.ratio is not None
    expected = paired_ratio(times["bn_pre"], times["none"])
    assert agree(comparison.ratio, expected)
    assert (comparison.dropped_blocks, comparison.split_blocks) == (0, 0)


def test_intervals_of_times_and_rates_are_positive(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", epoch_s=lambda trial, _: 10.0**trial.block)
    for row in summarize(folder.path).variants:
        for estimate in (row.epoch_s, row.examples_per_s):
            assert estimate is not None and estimate.low is not None and estimate.high is not None
            assert 0 < estimate.low < estimate.value < estimate.high
        assert row.epoch_s is not None and row.epoch_s.value == pytest.approx(10)


def test_interval_of_an_accuracy_stays_between_0_and_1(tmp_path: Path) -> None:
    def apart(record: TrialRecord) -> TrialRecord:
        accuracy = (0.01, 0.99, 0.99)[record.trial.block]
        measures = record.measures.model_copy(update={"test_accuracy": accuracy})
        return record.model_copy(update={"measures": measures})

    for row in summarize(make_run(tmp_path / "run", change=apart).path).variants:
        assert row.test_accuracy is not None
        assert (row.test_accuracy.low, row.test_accuracy.high) == (0.0, 1.0)
        assert row.test_accuracy.value == pytest.approx((0.01 + 0.99 + 0.99) / 3)


def test_arm_with_lower_epoch_time_has_higher_throughput(tmp_path: Path) -> None:
    def slow_once(trial: Trial, epoch: int) -> float:
        if trial.variant.norm == "none":
            return 1.0 if epoch < 3 else 9.0  # the lower median, but the lower mean rate
        return 2.0

    suite = {**NORMS, "variant": {"epochs": 4}}
    folder = make_run(tmp_path / "run", suite, epoch_s=slow_once)
    mean = load_trials(folder.path).groupby("norm")["examples_per_s"].first()
    assert mean["none"] < mean["bn_post"]
    none, bn_post, _ = summarize(folder.path).variants
    for row in (none, bn_post):
        assert row.epoch_s is not None and row.examples_per_s is not None
        examples = 55_000 // 32 * 32
        assert row.examples_per_s.value * row.epoch_s.value == pytest.approx(examples)
    assert none.examples_per_s is not None and bn_post.examples_per_s is not None
    assert none.examples_per_s.value > bn_post.examples_per_s.value


def test_rows_follow_the_suite_and_columns_name_the_baseline(tmp_path: Path) -> None:
    summary = summarize(make_run(tmp_path / "run").path)
    assert [v.label for v in summary.variants] == ["norm=none", "norm=bn_post", "norm=bn_pre"]
    assert summary.columns == (ComparisonColumn("norm", "none"),)
    assert [v.baseline_of for v in summary.variants] == [(True,), (False,), (False,)]
    assert summary.variants[0].comparisons == (None,)


def test_failed_trial_enters_no_mean_and_its_block_no_ratio(
    tmp_path: Path,
) -> None:
    failed = change_one("bn_post", 1, status="diverged", error="the loss was nan")
    folder = make_run(tmp_path / "run", epoch_s=noisy, change=failed)
    row = variant_of(summarize(folder.path), "norm=bn_post")
    trials = load_trials(folder.path).query("block != 1").sort_values("block")
    variant_times = trials.query("norm == 'bn_post'")["epoch_s"].tolist()
    baseline_times = trials.query("norm == 'none'")["epoch_s"].tolist()
    assert (row.completed, row.planned) == (2, 3)
    assert row.failures == (FailureGroup("diverged", 1, "the loss was nan"),)
    assert agree(row.epoch_s, geometric_interval(variant_times))
    comparison = row.comparisons[0]
    assert comparison is not None
    assert comparison.dropped_blocks == 1
    assert agree(comparison.ratio, paired_ratio(variant_times, baseline_times))


def test_failed_baseline_drops_the_block_of_every_arm(
    tmp_path: Path,
) -> None:
    summary = summarize(
        make_run(tmp_path / "run", change=change_one("none", 0, status="failed", error="x")).path
    )
    dropped = [c.dropped_blocks for v in summary.variants for c in v.comparisons if c]
    assert dropped == [1, 1]


def test_block_split_over_invocations_is_not_used(tmp_path: Path) -> None:
    folder = make_run(
        tmp_path / "run", change=change_one("bn_pre", 2, invocation=1), epoch_s=noisy, invocations=2
    )
    comparison = variant_of(summarize(folder.path), "norm=bn_pre").comparisons[0]
    assert comparison is not None and comparison.ratio is not None
    assert (comparison.split_blocks, comparison.dropped_blocks) == (1, 0)
    assert (comparison.ratio.blocks, comparison.ratio.sessions) == (2, 1)


def test_no_ratio_if_no_block_is_used(tmp_path: Path) -> None:
    def resumed(record: TrialRecord) -> TrialRecord:
        return record.model_copy(update={"invocation": int(record.trial.variant.norm != "none")})

    folder = make_run(tmp_path / "run", {**NORMS, "blocks": 1}, change=resumed, invocations=2)
    comparison = variant_of(summarize(folder.path), "norm=bn_pre").comparisons[0]
    assert comparison is not None
    assert (comparison.ratio, comparison.split_blocks) == (None, 1)


def test_each_session_gives_one_estimate(tmp_path: Path) -> None:
    folder = resumed_after(tmp_path / "run", "2026-01-02T00:00:00Z")
    trials = load_trials(folder.path).sort_values("block")
    variant_times = trials.query("norm == 'bn_pre'")["epoch_s"].tolist()
    baseline_times = trials.query("norm == 'none'")["epoch_s"].tolist()
    summary = summarize(folder.path)
    row = variant_of(summary, "norm=bn_pre")
    assert summary.sessions == 2
    assert row.comparisons[0] is not None
    expected = paired_ratio(variant_times, baseline_times, sessions=[0, 0, 1])
    assert agree(row.comparisons[0].ratio, expected)
    means = [math.sqrt(variant_times[0] * variant_times[1]), variant_times[2]]
    assert agree(row.epoch_s, geometric_interval(means))
    # Accuracy does not depend on a session's clocks: every trial counts.
    assert row.val_accuracy is not None
    assert row.val_accuracy.n == 3


def test_run_resumed_soon_is_one_session(tmp_path: Path) -> None:
    folder = resumed_after(tmp_path / "run", "2026-01-01T00:10:00Z")
    trials = load_trials(folder.path).sort_values("block")
    variant_times = trials.query("norm == 'bn_pre'")["epoch_s"].tolist()
    baseline_times = trials.query("norm == 'none'")["epoch_s"].tolist()
    summary = summarize(folder.path)
    row = variant_of(summary, "norm=bn_pre")
    assert summary.sessions == 1
    assert row.comparisons[0] is not None
    assert agree(row.comparisons[0].ratio, paired_ratio(variant_times, baseline_times))
    assert agree(row.epoch_s, geometric_interval(variant_times))


def resumed_after(path: Path, started_at: str) -> RunFolder:
    """Return a run whose last block ran in a second invocation, started at ``started_at``."""

    def second(record: TrialRecord) -> TrialRecord:
        return record.model_copy(update={"invocation": int(record.trial.block == 2)})

    folder = make_run(path, epoch_s=noisy, change=second, invocations=2)
    info = folder.info()
    first, last = info.invocations
    invocations = (first, last.model_copy(update={"started_at": started_at}))
    folder.write_info(info.model_copy(update={"invocations": invocations}))
    return folder


def test_changed_resolved_setting_is_flagged_for_its_variant(tmp_path: Path) -> None:
    folder = make_run(
        tmp_path / "run",
        change=change_one("bn_post", 1, resolved={"xla": False, "window_steps": 100}),
    )
    summary = summarize(folder.path)
    confounds = {
        v.label: {(c.key, c.value, c.baseline) for c in v.comparisons[0].confounds}
        for v in summary.variants
        if v.comparisons[0]
    }
    assert confounds["norm=bn_pre"] == set()
    assert ("xla", False, True) in confounds["norm=bn_post"]


def test_listed_variants_may_differ_in_their_own_settings(tmp_path: Path) -> None:
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

    summary = summarize(make_run(tmp_path / "run", suite, change=resolve).path)
    comparison = variant_of(summary, "half").comparisons[0]
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
    summary = summarize(make_run(tmp_path / "run", suite).path)
    assert summary.columns == (
        ComparisonColumn("norm", "none"),
        ComparisonColumn("per_replica_batch_size", "32"),
    )
    variant = variant_of(summary, "norm=bn_post, per_replica_batch_size=512")
    assert all(comparison and comparison.ratio for comparison in variant.comparisons)


def test_run_without_records_has_a_row_per_variant(tmp_path: Path) -> None:
    summary = summarize(make_run(tmp_path / "run", change=no_record).path)
    assert [(v.completed, v.planned, v.epoch_s) for v in summary.variants] == [(0, 3, None)] * 3
    comparison = summary.variants[1].comparisons[0]
    assert comparison is not None
    assert (comparison.ratio, comparison.dropped_blocks) == (None, 3)
    assert summary.columns == (ComparisonColumn("norm", "none"),)
    assert summary.sessions == 0


def test_suite_without_comparisons_has_no_columns(tmp_path: Path) -> None:
    summary = summarize(make_run(tmp_path / "run", {**NORMS, "compare": []}).path)
    assert summary.columns == ()
    assert {v.comparisons for v in summary.variants} == {()}


def test_single_block_has_ratios_without_intervals(tmp_path: Path) -> None:
    summary = summarize(make_run(tmp_path / "run", {**NORMS, "blocks": 1}, epoch_s=noisy).path)
    comparison = summary.variants[1].comparisons[0]
    assert comparison is not None and comparison.ratio is not None
    assert math.isclose(comparison.ratio.value, 2, rel_tol=0.1)
    assert (comparison.ratio.low, comparison.ratio.detectable) == (None, None)


def test_synthetic_data_and_throttling_are_flagged(tmp_path: Path) -> None:
    def hot(record: TrialRecord) -> TrialRecord:
        throttled = record.trial.block == 0
        measures = record.measures.model_copy(update={"throttled": throttled})
        return record.model_copy(update={"measures": measures})

    suite = {**NORMS, "variant": {"dataset": "synthetic"}}
    row = summarize(make_run(tmp_path / "run", suite, change=hot).path).variants[0]
    assert (row.synthetic, row.throttled) == (True, 1)


def test_cpu_contention_counts_trials_and_keeps_the_worst(
    tmp_path: Path,
) -> None:
    shares = {0: 0.25, 1: 0.5, 2: MAX_TAKEN_SHARE}

    def busy(record: TrialRecord) -> TrialRecord:
        share = shares[record.trial.block] if record.trial.variant.norm == "none" else None
        measures = record.measures.model_copy(update={"cpu_taken_share": share})
        return record.model_copy(update={"measures": measures})

    summary = summarize(make_run(tmp_path / "run", {**NORMS, "blocks": 3}, change=busy).path)
    first, *others = [variant.cpu_contention for variant in summary.variants]
    assert first == CpuContention(count=2, largest_share=0.5)
    assert set(others) == {None}


def test_retried_trial_counts_once(tmp_path: Path) -> None:
    folder = make_run(
        tmp_path / "run", change=change_one("none", 0, status="worker_lost", error="x")
    )
    failed = next(r for r in folder.records() if r.status == "worker_lost")
    folder.write(make_record(failed.trial).model_copy(update={"attempt": 2}))
    summary = summarize(folder.path)
    assert (summary.completed, summary.trials, summary.retried) == (9, 9, 1)
    assert variant_of(summary, "norm=none").failures == ()


def test_wall_time_is_split_into_measured_parts_and_idle_time(tmp_path: Path) -> None:
    def looking(record: TrialRecord) -> TrialRecord:
        measures = record.measures.model_copy(update={"health_s": 0.5})
        return record.model_copy(update={"measures": measures})

    folder = make_run(tmp_path / "run", change=looking)
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


def test_parallel_trials_each_count_wall_time(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    info = folder.info()
    invocations = tuple(c.model_copy(update={"lanes": 2, "wall_s": 60.0}) for c in info.invocations)
    folder.write_info(info.model_copy(update={"invocations": invocations}))
    assert summarize(folder.path).wall.total_s == 120


def test_killed_invocation_took_as_long_as_its_trials(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    info = folder.info()
    invocations = tuple(c.model_copy(update={"wall_s": None}) for c in info.invocations)
    folder.write_info(info.model_copy(update={"invocations": invocations}))
    total = load_trials(folder.path)["wall_s"].sum()
    assert summarize(folder.path).wall.total_s == pytest.approx(total)


def test_idle_time_is_unknown_if_parts_exceed_the_wall_time(tmp_path: Path) -> None:
    wall = summarize(make_run(tmp_path / "run", epoch_s=lambda _t, _e: 1e6).path).wall
    assert wall.idle_s is not None
    folder = make_run(tmp_path / "simulated")
    info = folder.info()
    invocations = tuple(c.model_copy(update={"wall_s": 0.1}) for c in info.invocations)
    folder.write_info(info.model_copy(update={"invocations": invocations}))
    simulated = summarize(folder.path).wall
    assert (simulated.idle_s, simulated.training_share) == (None, None)


def test_a_variant_of_several_parts_counts_each_block_once(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", {**NORMS, "arms_at_once": 1}, epoch_s=noisy)
    trials = load_trials(folder.path)
    baseline = trials[trials["norm"] == "none"]
    assert sorted(baseline["part"].unique()) == [0, 1]
    summary = summarize(folder.path)
    row = variant_of(summary, "norm=none")
    assert (row.completed, row.planned) == (2 * summary.blocks, 2 * summary.blocks)
    logs = np.log(baseline["epoch_s"]).groupby(baseline["block"]).mean()
    assert agree(row.epoch_s, geometric_interval(np.exp(logs).tolist()))
    for label, part in (("norm=bn_post", 0), ("norm=bn_pre", 1)):
        of_part = trials[trials["part"] == part].sort_values("block")
        times = {norm: rows["epoch_s"].tolist() for norm, rows in of_part.groupby("norm")}
        (comparison,) = variant_of(summary, label).comparisons
        assert comparison is not None and comparison.ratio is not None
        norm = label.partition("=")[2]
        assert agree(comparison.ratio, paired_ratio(times[norm], times["none"]))


def test_a_grid_in_two_parts_gives_each_comparison_one_ratio_a_block(tmp_path: Path) -> None:
    grid = {
        **NORMS,
        "matrix": {"norm": ["none", "bn_post", "bn_pre"], "global_batch_size": [32, 64, 128]},
        "compare": [*NORMS["compare"], {"axis": "global_batch_size", "baseline": 32}],
    }
    folder = make_run(tmp_path / "run", grid, epoch_s=noisy)
    assert set(load_trials(folder.path)["part"]) == {0, 1}
    compared = [c for v in summarize(folder.path).variants for c in v.comparisons if c]
    assert len(compared) == 12
    assert {len(c.block_ratios) for c in compared} == {3}
    assert {c.ratio.n for c in compared if c.ratio} == {3}
    assert {c.dropped_blocks for c in compared} == {0}
