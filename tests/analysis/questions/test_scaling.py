"""Tests of efficiencies and the share of communication, on runs with known times."""

from pathlib import Path
from typing import Any

import pytest

from bench.analysis.loading.data_frames import load_trials
from bench.analysis.questions.scaling import COLUMNS
from bench.analysis.statistics.intervals import paired_ratio
from bench.analysis.summary import Summary, summarize
from bench.analysis.variant_summary import VariantSummary
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial
from tests.support.sample_records import NORMS, make_run

MIRRORED: dict[str, Any] = {"strategy": "mirrored", "jit": "none"}
SUITE: dict[str, Any] = {
    "name": "scaling",
    "blocks": 3,
    "seed": 5,
    "variant": {"epochs": 3, "examples": 6400, "global_batch_size": 64, "jit": "none"},
    "variants": [
        {"label": "alone"},
        {"label": "one", **MIRRORED},
        {"label": "strong", **MIRRORED, "replicas": 2},
        {"label": "weak", **MIRRORED, "replicas": 2, "global_batch_size": 128},
        {"label": "silent", **MIRRORED, "replicas": 2, "communication": "none"},
    ],
}
EPOCH_S = {"alone": 1.0, "one": 1.25, "strong": 0.8, "weak": 0.625, "silent": 0.6}


def exact(trial: Trial, epoch: int) -> float:
    del epoch
    return EPOCH_S[trial.label] * (1 + 0.1 * trial.block)


def noisy(trial: Trial, epoch: int) -> float:
    return exact(trial, epoch) * (1 + 0.01 * (trial.order * 7 % 5))


def variant_of(summary: Summary, label: str) -> VariantSummary:
    return next(v for v in summary.variants if v.label == label)


def shares(summary: Summary, label: str) -> dict[str, float]:
    scaling = variant_of(summary, label).scaling
    assert scaling is not None
    return {name: share.value for name, share in scaling.shares.items()}


def test_efficiency_is_throughput_over_n_times_that_of_one_device(tmp_path: Path) -> None:
    summary = summarize(make_run(tmp_path / "run", SUITE, epoch_s=exact).path)
    assert summary.scaling_columns == COLUMNS
    assert shares(summary, "strong") == pytest.approx(
        {
            "strong_over_same_strategy": 1.25 / 0.8 / 2,
            "strong_over_one_device": 1.0 / 0.8 / 2,
            "communication": (0.8 - 0.6) / 0.8,
        }
    )
    assert shares(summary, "weak") == pytest.approx(
        {"weak_over_same_strategy": 1.25 / 0.625 / 2, "weak_over_one_device": 1.0 / 0.625 / 2}
    )


def test_one_replica_is_compared_with_no_strategy(tmp_path: Path) -> None:
    summary = summarize(make_run(tmp_path / "run", SUITE, epoch_s=exact).path)
    expected = {"strong_over_one_device": 0.8, "weak_over_one_device": 0.8}
    assert shares(summary, "one") == pytest.approx(expected)
    assert shares(summary, "alone") == {}
    alone, one = variant_of(summary, "alone").scaling, variant_of(summary, "one").scaling
    assert alone is not None and one is not None
    assert alone.baseline_of == {"strong_over_one_device", "weak_over_one_device"}
    assert one.baseline_of == {"strong_over_same_strategy", "weak_over_same_strategy"}


def test_intervals_are_inverted_with_the_ratio(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", SUITE, epoch_s=noisy)
    trials = load_trials(folder.path).sort_values("block")
    times = {label: rows["epoch_s"].tolist() for label, rows in trials.groupby("label")}
    expected = paired_ratio(times["strong"], times["alone"])
    scaling = variant_of(summarize(folder.path), "strong").scaling
    assert scaling is not None
    result = scaling.shares["strong_over_one_device"]
    assert expected.low is not None and expected.high is not None
    assert (result.low, result.value, result.high) == pytest.approx(
        (0.5 / expected.high, 0.5 / expected.value, 0.5 / expected.low)
    )
    communication = scaling.shares["communication"]
    assert communication.low is not None and communication.high is not None
    assert communication.low < communication.value < communication.high


def test_throughput_counts_only_whole_batches(tmp_path: Path) -> None:
    suite = {**SUITE, "variant": {**SUITE["variant"], "examples": 6400 + 64}}
    summary = summarize(make_run(tmp_path / "run", suite, epoch_s=exact).path)
    used = 6400 / 6464
    assert shares(summary, "weak")["weak_over_one_device"] == pytest.approx(0.8 * used)


def test_share_without_a_baseline_is_missing(tmp_path: Path) -> None:
    suite = {**SUITE, "variants": [SUITE["variants"][i] for i in (0, 3)]}
    summary = summarize(make_run(tmp_path / "run", suite, epoch_s=exact).path)
    assert summary.scaling_columns == ("weak_over_one_device",)


def test_baseline_with_another_jit_is_used_and_flagged(tmp_path: Path) -> None:
    alone = {"label": "alone", "jit": "epoch"}
    suite = {**SUITE, "variants": [alone, *SUITE["variants"][2:]]}
    summary = summarize(make_run(tmp_path / "run", suite, epoch_s=exact).path)
    scaling = variant_of(summary, "strong").scaling
    assert scaling is not None
    comparison = scaling.shares["strong_over_one_device"].comparison
    assert [c.key for c in comparison.confounds] == ["xla"]


def test_settings_implied_by_replicas_are_no_confound(tmp_path: Path) -> None:
    def resolve(record: TrialRecord) -> TrialRecord:
        variant = record.trial.variant
        several = variant.total_replicas > 1 and variant.communication == "full"
        resolved = {
            "tensorflow_strategy": variant.strategy,
            "reduction": "ring" if several else None,
            "per_replica_batch_size": variant.per_replica_batch_size,
            "steps_per_epoch": 6400 // variant.global_batch_size,
        }
        return record.model_copy(update={"resolved": resolved, "devices": ("CPU:0",)})

    summary = summarize(make_run(tmp_path / "run", SUITE, epoch_s=exact, change=resolve).path)
    for variant in summary.variants:
        assert variant.scaling is not None
        for share in variant.scaling.shares.values():
            assert share.comparison.confounds == ()


def test_every_all_reduce_is_compared_with_the_same_silent_arm(tmp_path: Path) -> None:
    hierarchy = {"label": "copies", **MIRRORED, "replicas": 2, "all_reduce": "hierarchical_copy"}
    suite = {**SUITE, "variants": [*SUITE["variants"], hierarchy]}

    def timed(trial: Trial, epoch: int) -> float:
        return 0.9 if trial.label == "copies" else exact(trial, epoch)

    def resolve(record: TrialRecord) -> TrialRecord:
        reduction = {"copies": "HierarchicalCopyAllReduce", "silent": None}
        resolved = {"reduction": reduction.get(record.trial.label, "CollectiveAllReduce RING")}
        return record.model_copy(update={"resolved": resolved})

    summary = summarize(make_run(tmp_path / "run", suite, epoch_s=timed, change=resolve).path)
    result = variant_of(summary, "copies").scaling
    assert result is not None
    assert set(result.shares) == {
        "strong_over_same_strategy",
        "strong_over_one_device",
        "communication",
    }
    assert all(share.comparison.confounds == () for share in result.shares.values())
    assert "communication" in shares(summary, "strong")


def test_silent_replicas_are_flagged(tmp_path: Path) -> None:
    summary = summarize(make_run(tmp_path / "run", SUITE, epoch_s=exact).path)
    assert [v.label for v in summary.variants if v.silent] == ["silent"]
    assert [v.replicas for v in summary.variants] == [1, 1, 2, 2, 2]


def test_run_on_one_device_has_no_scaling(tmp_path: Path) -> None:
    summary = summarize(make_run(tmp_path / "run", NORMS).path)
    assert summary.scaling_columns == ()
    assert {v.scaling for v in summary.variants} == {None}


def test_nccl_transports_are_collected_over_all_trials(tmp_path: Path) -> None:
    def resolve(record: TrialRecord) -> TrialRecord:
        several = record.trial.variant.total_replicas > 1
        transports = [["P2P/NVL"], ["SHM"]][record.trial.block % 2] if several else None
        return record.model_copy(update={"resolved": {"nccl_transport": transports}})

    summary = summarize(make_run(tmp_path / "run", SUITE, change=resolve).path)
    result = {v.label: v.scaling.transports for v in summary.variants if v.scaling}
    assert result["strong"] == ("P2P/NVL", "SHM")
    assert result["one"] == ()
    assert all(v.scaling and not v.scaling.transports for v in summary.variants if v.replicas == 1)
