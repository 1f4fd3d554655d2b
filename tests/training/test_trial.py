"""The record of a trial that completes, and of one that fails in each possible way."""

import functools
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bench.datasets.arrays import Arrays
from bench.measure.host import usable_cores
from bench.records.anonymize import public_record
from bench.records.epoch_record import EpochRecord
from bench.records.pseudonyms import Pseudonyms
from bench.records.trial_record import TrialRecord
from bench.spec.variant import Variant
from bench.training import trial as trial_module
from bench.training.evaluation import Evaluator, Score
from bench.training.failures import classify_exception
from bench.training.loop.compiled_epoch import CompiledEpoch
from bench.training.loop.epoch_result import EpochResult
from bench.training.loop.loss_scale import LossScale
from bench.training.trial import train
from tests.support.training_setup import SteppingClock, arrays_of, small, trial_of


def record_of(variant: Variant, **options: Any) -> TrialRecord:
    options = {"load": lambda: arrays_of(variant), **options}
    return train(trial_of(variant), threads=usable_cores(), **options)


def test_a_completed_trial_has_every_measure() -> None:
    reported: list[EpochRecord] = []
    record = record_of(small(epochs=3, norm="bn_post"), on_epoch=reported.append)
    assert (record.status, record.error, record.log_tail) == ("completed", None, None)
    assert [e.warmup for e in record.epochs] == [True, False, False]
    assert tuple(reported) == record.epochs
    measures = record.measures
    assert measures.parameters is not None
    assert measures.parameters - (measures.trainable_parameters or 0) == 2 * (16 + 16 + 8)
    for name in ("data_load_s", "build_s", "cold_start_s", "evaluate_s", "test_loss"):
        assert getattr(measures, name) > 0, name
    assert measures.weights_l2 is not None
    assert 0 <= (measures.test_accuracy or -1) <= 1
    assert record.devices == ("CPU:0",)
    # Unknown on a CPU: null, never 0.
    assert measures.peak_device_memory_bytes is None


def test_each_window_has_its_start_and_what_its_process_did() -> None:
    before_s, cpu_before_s = time.monotonic(), time.process_time()
    record = record_of(small(epochs=2, examples=6400, global_batch_size=8))
    after_s, cpu_s = time.monotonic(), time.process_time() - cpu_before_s
    starts = [start for epoch in record.epochs for start in epoch.window_start_s or ()]
    assert len(starts) == 16
    assert [before_s, *starts, after_s] == sorted([before_s, *starts, after_s])
    for epoch in record.epochs:
        assert epoch.window_start_s and epoch.window_cpu_s and epoch.window_involuntary_switches
        ends = [a + b for a, b in zip(epoch.window_start_s, epoch.window_s, strict=True)]
        assert ends[:-1] == pytest.approx(epoch.window_start_s[1:])
        assert 0 < sum(epoch.window_cpu_s) < cpu_s
        assert len(epoch.window_involuntary_switches) == 8
        assert epoch.window_round is None


def test_training_learns() -> None:
    record = record_of(small(epochs=12, examples=2000))
    first, last = record.epochs[0], record.epochs[-1]
    assert last.train_loss < 0.5 * first.train_loss
    assert (last.val_accuracy or 0) > 0.8
    assert (record.measures.test_accuracy or 0) > 0.8


def test_the_settings_in_effect_are_recorded() -> None:
    record = record_of(small(epochs=1, norm="bn_pre", precision="mixed_float16", jit="step"))
    resolved = record.resolved
    expected = {
        "intra_op_threads": usable_cores(),
        "xla": True,
        "jit": "step",
        "compiled": "step",
        "policy": "mixed_float16",
        "tf32": False,
        "loss_scaling": True,
        "skips_non_finite": True,
        "order": "permutation",
        "augmented": False,
        "steps_per_epoch": 21,
        "whole_epoch_steps": 21,
        "window_steps": 3,
        "examples_left_out": 28,
        "norm_layers": 3,
        "norm_momentum": 0.99,
        "tensorflow": tf.__version__,
        "per_replica_batch_size": 32,
    }
    assert {key: resolved[key] for key in expected} == expected


@pytest.mark.slow
def test_all_settings_in_effect_are_published() -> None:
    variant = small(epochs=1, workload="convnet", filters=(8,), norm="group")
    record = record_of(variant).model_dump(mode="json")
    public = public_record(Pseudonyms(), record, labels={})
    assert public["resolved"].keys() == record["resolved"].keys()
    assert public["resolved"]["norm_values"] == record["resolved"]["norm_values"] != []


def test_counts_are_null_if_they_have_no_meaning() -> None:
    plain = record_of(small(epochs=1)).epochs[0]
    assert (plain.clipped_steps, plain.skipped_steps) == (None, None)
    both = record_of(
        small(epochs=1, clip="value", clip_threshold=1e-9, precision="mixed_float16")
    ).epochs[0]
    assert both.skipped_steps is not None
    assert both.clipped_steps == 21 - both.skipped_steps


def test_a_loss_scale_that_overflows_at_first_settles_and_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LossScale, "INITIAL", 2.0**24)
    record = record_of(small(precision="mixed_float16", examples=64, epochs=2))
    assert record.status == "completed", record.error
    assert [e.skipped_steps for e in record.epochs] == [0, 0]
    measures = record.measures
    assert measures.loss_scale_initial is not None
    assert 1 < measures.loss_scale_initial < 2.0**22
    assert measures.loss_scale_final == measures.loss_scale_initial
    assert (measures.loss_scale_settling_steps or 0) > 2
    plain = record_of(small(examples=64, epochs=1)).measures
    assert (plain.loss_scale_initial, plain.loss_scale_settling_steps) == (None, None)


def test_an_exploding_trial_diverges_and_keeps_its_epochs() -> None:
    record = record_of(small(epochs=5, learning_rate=1e30, target_accuracy=0.01))
    assert record.status == "diverged"
    assert record.error == "the training loss was nan in epoch 0"
    assert [e.epoch for e in record.epochs] == [0]
    assert (record.epochs[0].train_accuracy, record.epochs[0].val_accuracy) == (None, None)
    assert record.measures.test_accuracy is None
    assert record.time_to_accuracy_s() == math.inf
    assert TrialRecord.model_validate_json(record.model_dump_json()).status == "diverged"


def test_a_program_that_tensorflow_refuses_is_unsupported_with_a_one_line_reason() -> None:
    record = record_of(small(pipeline="tfdata", jit="epoch"))
    assert record.status == "unsupported"
    assert record.error
    assert "\n" not in record.error
    assert "Iterator" in record.error
    assert record.epochs == ()
    assert record.measures.cold_start_s is None
    assert record.measures.weights_l2 is None
    assert record.epoch_s is None
    assert record.examples_per_s is None


def test_weights_broken_by_the_last_update_are_a_divergence() -> None:
    variant = small(epochs=1, examples=32, learning_rate=3e38, initializer="standard_normal")
    record = record_of(variant)
    assert np.isfinite(record.epochs[0].train_loss)
    assert record.status == "diverged"
    assert "the weights' L2 norm was" in str(record.error)
    assert record.measures.test_accuracy is None


@pytest.mark.parametrize(
    ("axes", "status"),
    [
        ({"jit": "none"}, "failed"),
        ({"jit": "none", "precision": "float64"}, "unsupported"),
    ],
    ids=str,
)
def test_a_refusal_of_plain_steps_is_a_failure(axes: dict[str, Any], status: str) -> None:
    variant = small(**axes)
    arrays = arrays_of(variant)
    invalid = Arrays(**{**vars(arrays), "train_labels": arrays.train_labels + arrays.classes})
    record = record_of(variant, load=lambda: invalid)
    assert record.status == status
    assert "label value" in str(record.error)
    assert ("InvalidArgumentError" in str(record.error)) == (status == "failed")


@pytest.mark.slow
def test_a_tensor_too_large_for_the_device_is_out_of_memory() -> None:
    def load() -> Arrays:
        # A petabyte, more than any allocator has.
        tf.zeros([2**25, 2**25], tf.uint8)
        raise AssertionError("allocated a petabyte")

    record = record_of(small(), load=load)
    assert record.status == "out_of_memory"
    assert "OOM when allocating" in str(record.error)
    assert record.epochs == ()


def test_a_failed_allocation_in_python_is_out_of_memory() -> None:
    def load() -> Arrays:
        np.zeros(2**50, np.uint8)
        raise AssertionError("allocated a petabyte")

    assert record_of(small(), load=load).status == "out_of_memory"


def test_any_other_error_is_a_failure_with_its_traceback() -> None:
    def load() -> Arrays:
        raise OSError("the disk\nis gone")

    record = record_of(small(), load=load)
    assert (record.status, record.error) == ("failed", "OSError: the disk is gone")
    assert "in load" in str(record.log_tail)


def test_epochs_finished_before_a_failure_are_kept() -> None:
    def on_epoch(epoch: EpochRecord) -> None:
        if epoch.epoch == 1:
            raise RuntimeError("in an epoch")

    record = record_of(small(epochs=4), on_epoch=on_epoch)
    assert (record.status, record.error) == ("failed", "RuntimeError: in an epoch")
    assert [e.epoch for e in record.epochs] == [0, 1]
    assert record.epoch_s == record.epochs[1].epoch_s
    assert record.measures.parameters is not None
    assert record.measures.test_accuracy is None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SteppingClock]:
    clock, score = SteppingClock(), Evaluator.score

    # Each validation takes a hundred seconds.
    def slow_score(self: Evaluator, *data: np.ndarray) -> Score:
        clock.now += 100.0
        return score(self, *data)

    monkeypatch.setattr(Evaluator, "score", slow_score)
    monkeypatch.setattr(
        trial_module, "CompiledEpoch", functools.partial(CompiledEpoch, clock=clock)
    )
    yield clock


def test_validation_is_outside_the_time_of_an_epoch(clock: SteppingClock) -> None:
    record = record_of(small(epochs=3))
    assert [e.epoch_s for e in record.epochs] == [7.0, 7.0, 7.0]  # a second a window
    assert record.measures.cold_start_s == 1.0
    assert clock.now > 400


def test_a_loss_that_is_not_finite_is_a_divergence() -> None:
    def result(loss: float) -> EpochResult:
        return EpochResult(1.0, (1.0,), 1, 32, loss, 0.5, 0, 0)

    assert [result(x).diverged for x in (1.0, float("inf"), float("nan"))] == [False, True, True]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError(), "out_of_memory"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), "out_of_memory"),
        (tf.errors.InternalError(None, None, "Out of memory allocating 8 bytes"), "out_of_memory"),
        (tf.errors.InternalError(None, None, "something else"), "failed"),
        (ValueError("out of memory, in unrelated code"), "failed"),
    ],
    ids=str,
)
def test_an_error_is_classified(error: Exception, status: str) -> None:
    assert classify_exception(error)[0] == status


def test_a_reason_is_one_line_of_limited_length() -> None:
    _, reason = classify_exception(ValueError("a\n" * 10_000))
    assert "\n" not in reason
    assert len(reason) == 500


@pytest.mark.parametrize("jit", ["none", "epoch"])
def test_training_learns_from_standardized_inputs(jit: str) -> None:
    record = record_of(small(inputs="standardized", epochs=2, jit=jit))
    assert record.status == "completed", record.error
    assert record.epochs[1].train_loss < record.epochs[0].train_loss
