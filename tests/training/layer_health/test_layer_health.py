"""Layer health reports the right numbers, and examining layers does not affect training."""

import functools
import math
import time
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import pytest

from bench.measure.host import usable_cores
from bench.records.health_record import HealthRecord
from bench.records.trial_record import TrialRecord
from bench.spec.axis_values import Precision
from bench.spec.variant import Variant
from bench.training import trial as trial_module
from bench.training.layer_health.layer_health import BATCH_SIZE, BATCHES, LayerHealth, probe_batches
from bench.training.loop.compiled_epoch import CompiledEpoch
from bench.training.loop.loss_scale import LossScale
from bench.training.trial import train
from tests.support.training_setup import (
    SteppingClock,
    TrainingSetup,
    arrays_of,
    make_program,
    small,
    snapshot,
    trial_of,
)

NUMBERS = [n for n in HealthRecord.model_fields if n not in ("after_epochs", "kind", "depth")]
BOTH_ENDS = {"health_epochs": [0, -1]}


def record_of(variant: Variant) -> TrialRecord:
    return train(trial_of(variant), load=lambda: arrays_of(variant), threads=usable_cores())


def examine(variant: Variant, setup: TrainingSetup | None = None) -> HealthRecord:
    setup = setup or make_program(variant)
    health = LayerHealth(variant, setup.model, setup.update, setup.replicas, arrays_of(variant))
    return health.examine(after_epochs=0)


def by_kind(record: HealthRecord, name: str, kind: str) -> list[Any]:
    values = getattr(record, name)
    return [value for value, k in zip(values, record.kind, strict=True) if k == kind]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "jit"), [*((name, "none") for name in get_args(Precision)), ("float32", "epoch")]
)
def test_examining_layers_does_not_affect_training(precision: Precision, jit: str) -> None:
    axes: dict[str, Any] = {
        "precision": precision,
        "jit": jit,
        "epochs": 3,
        "norm": "bn_post",
        "optimizer": "adam",
        "clip": "global_norm",
        "clip_threshold": 0.5,
    }
    examined = record_of(small(**axes, health_epochs=[0, 1, 2, -1]))
    without = record_of(small(**axes))
    assert [h.after_epochs for h in examined.health] == [0, 1, 2, 3]
    assert without.health == ()
    assert examined.measures.weights_l2 == without.measures.weights_l2 is not None
    assert examined.measures.test_loss == without.measures.test_loss
    for ours, theirs in zip(examined.epochs, without.epochs, strict=True):
        assert (ours.train_loss, ours.val_loss) == (theirs.train_loss, theirs.val_loss)


def test_examining_layers_does_not_affect_the_loss_scale() -> None:
    axes: dict[str, Any] = {
        "precision": "mixed_float16",
        "initializer": "ones",
        "shape": [28, 28, 1],
        "epochs": 2,
        "jit": "none",
        "hidden": [16],
    }
    examined, without = record_of(small(**axes, **BOTH_ENDS)), record_of(small(**axes))
    settling = without.measures.loss_scale_settling_steps
    assert settling
    assert examined.measures.loss_scale_settling_steps == settling
    skipped = [epoch.skipped_steps for epoch in without.epochs]
    assert [epoch.skipped_steps for epoch in examined.epochs] == skipped
    assert examined.measures.weights_l2 == without.measures.weights_l2 is not None


def test_a_gradient_that_overflows_is_measured_at_a_lower_scale() -> None:
    records = []
    for precision in ("mixed_float16", "float32"):
        variant = small(precision=precision, activation="linear")
        setup = make_program(variant)
        for variable in setup.model.trainable_variables[2::2]:
            variable.assign(variable.numpy() * 10)
        records.append(examine(variant, setup))
        if setup.update.loss_scale is not None:
            assert float(setup.update.loss_scale.scale) == LossScale.INITIAL
    half, single = records
    assert 0 < max(by_kind(half, "overflow_fraction", "dense")) <= 1
    assert max(by_kind(single, "overflow_fraction", "dense")) == 0
    norms = [by_kind(health, "gradient_norm", "dense") for health in records]
    assert norms[0] == pytest.approx(norms[1], rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    "axes",
    [
        {"norm": "bn_post", "optimizer": "adam"},
        {"norm": "bn_pre", "optimizer": "nadam", "precision": "mixed_float16", "jit": "none"},
        {"workload": "convnet", "optimizer": "momentum", "norm": "group", "jit": "none"},
        {"pipeline": "tfdata", "activation": "prelu"},
    ],
    ids=str,
)
def test_no_variable_changes(axes: dict[str, Any]) -> None:
    variant = small(**axes)
    setup = make_program(variant)
    setup.program.cold_start()
    setup.program.run_epoch(0)
    before = snapshot(setup.state)
    examine(variant, setup)
    for old, new in zip(before, snapshot(setup.state), strict=True):
        np.testing.assert_array_equal(old, new)
    setup.program.run_epoch(1)  # raises if the program is traced again


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SteppingClock]:
    clock, original = SteppingClock(), LayerHealth.examine

    # Each examination takes a hundred seconds.
    def slow(self: LayerHealth, after_epochs: int) -> HealthRecord:
        clock.now += 100.0
        return original(self, after_epochs)

    monkeypatch.setattr(LayerHealth, "examine", slow)
    monkeypatch.setattr(
        trial_module, "CompiledEpoch", functools.partial(CompiledEpoch, clock=clock)
    )
    yield clock


def test_an_examination_is_outside_every_time_of_the_program(clock: SteppingClock) -> None:
    times = []
    for health_epochs in ([], [0, 1, 2, 3]):
        record = record_of(small(epochs=3, health_epochs=health_epochs))
        epochs = [(e.epoch_s, e.window_s) for e in record.epochs]
        times.append((record.measures.cold_start_s, epochs))
    assert clock.now > 400
    assert times[0] == times[1] == (1.0, [(7.0, (1.0,) * 7)] * 3)


def test_an_examination_leaves_no_busy_thread() -> None:
    variant = small(norm="bn_post", shape=[28, 28, 1], hidden=[300, 100])
    setup = make_program(variant)
    health = LayerHealth(variant, setup.model, setup.update, setup.replicas, arrays_of(variant))

    def cpu_s_afterwards() -> float:
        health.examine(after_epochs=0)
        before = time.process_time()
        time.sleep(0.05)
        return time.process_time() - before

    # After each call, the threads of a parallel BLAS spin for 30 ms.
    assert min(cpu_s_afterwards() for _ in range(5)) < 0.005


def test_the_time_of_examinations_is_recorded() -> None:
    assert record_of(small(epochs=1, jit="none")).measures.health_s is None
    measures = record_of(small(epochs=1, jit="none", **BOTH_ENDS)).measures
    assert (measures.health_s or 0) > 0


def test_a_trial_that_diverges_keeps_its_examinations() -> None:
    record = record_of(small(epochs=5, learning_rate=1e30, **BOTH_ENDS))
    assert record.status == "diverged"
    assert [h.after_epochs for h in record.health] == [0]


def test_exploding_values_are_infinite_and_survive_json() -> None:
    record = record_of(small(epochs=1, learning_rate=1e30, health_epochs=[1]))
    (health,) = record.health
    assert set(by_kind(health, "gradient_norm", "dense")) == {math.inf}
    assert set(by_kind(health, "dead_fraction", "activation")) == {math.inf}
    assert by_kind(health, "saturated_fraction", "activation") == [None, None]
    assert TrialRecord.model_validate_json(record.model_dump_json()).health == record.health


@pytest.mark.parametrize("norm", ["none", "bn_post"])
def test_numbers_do_not_depend_on_what_xla_compiles(norm: str) -> None:
    first, *others = (examine(small(norm=norm, jit=jit)) for jit in ("none", "step", "epoch"))
    assert all(other == first for other in others)


def test_every_arm_is_examined_on_the_same_examples() -> None:
    arrays = arrays_of(small(examples=5000))
    first, *others = (
        list(probe_batches(small(examples=5000, **axes), arrays))
        for axes in ({}, {"norm": "bn_post"}, {"global_batch_size": 512}, {"inputs": "unit"})
    )
    assert [len(images) for images, _ in first] == [BATCH_SIZE] * BATCHES
    assert len(np.unique(np.concatenate([i for i, _ in first]), axis=0)) == BATCHES * BATCH_SIZE
    for other in others:
        for (images, labels), (their_images, their_labels) in zip(first, other, strict=True):
            np.testing.assert_array_equal(images, their_images)
            np.testing.assert_array_equal(labels, their_labels)


@pytest.mark.parametrize(("examples", "sizes"), [(40, [40]), (64, [64]), (150, [64, 64])])
def test_few_examples_make_as_many_batches_as_they_fill(examples: int, sizes: list[int]) -> None:
    variant = small(examples=examples)
    assert [len(images) for images, _ in probe_batches(variant, arrays_of(variant))] == sizes


def test_a_layer_has_null_for_measures_without_meaning() -> None:
    health = examine(small(norm="bn_pre", activation="sigmoid"))
    kinds = {
        name: {k for k, v in zip(health.kind, getattr(health, name), strict=True) if v is not None}
        for name in NUMBERS
    }
    all_layers = {"flatten", "batch_norm", "dense", "activation"}
    weighted = {"batch_norm", "dense"}
    assert kinds == {
        "output_mean": all_layers,
        "output_variance": all_layers,
        "output_gradient_variance": all_layers,
        "saturated_fraction": {"activation"},
        "dead_fraction": set(),
        "gradient_norm": weighted,
        "update_ratio": weighted,
        "clipped_fraction": set(),
        "overflow_fraction": weighted,
        "moving_mean_drift": {"batch_norm"},
        "moving_variance_drift": {"batch_norm"},
    }


def test_fused_batch_norm_is_examined_like_keras() -> None:
    ours, theirs = (examine(small(norm="bn_pre", batch_norm=name)) for name in ("fused", "keras"))
    for name in ("moving_mean_drift", "moving_variance_drift", "gradient_norm"):
        actual, expected = (by_kind(health, name, "batch_norm") for health in (ours, theirs))
        assert actual == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_saturated_and_dead_units_are_counted() -> None:
    for activation, name in (("tanh", "saturated_fraction"), ("relu", "dead_fraction")):
        variant = small(activation=activation, hidden=[8])
        setup = make_program(variant)
        bias = setup.model.trainable_variables[1]
        bias.assign(np.array([-1e3] * 2 + [0.0] * 6))
        kernel = setup.model.trainable_variables[0]
        kernel.assign(np.abs(kernel.numpy()) * 0.1)
        assert by_kind(examine(variant, setup), name, "activation") == [0.25]


def test_the_update_ratio_of_sgd_is_rate_times_gradient_over_weights() -> None:
    variant = small(precision="float64")
    setup = make_program(variant)
    weights = [v.numpy().ravel() for v in setup.model.trainable_variables]
    sizes = [np.linalg.norm(np.concatenate(weights[i : i + 2])) for i in (0, 2, 4)]
    health = examine(variant, setup)
    norms = by_kind(health, "gradient_norm", "dense")
    expected = [0.05 * norm / size for norm, size in zip(norms, sizes, strict=True)]
    assert by_kind(health, "update_ratio", "dense") == pytest.approx(expected, rel=1e-5)


def test_zero_weights_have_no_update_ratio() -> None:
    ratios = by_kind(examine(small(initializer="zeros", hidden=[4])), "update_ratio", "dense")
    assert ratios[0] is None
    assert ratios[1] > 0


@pytest.mark.parametrize("clip", ["value", "norm", "global_norm"])
def test_clipping_is_reported_by_layer(clip: str) -> None:
    everything, nothing = (
        by_kind(examine(small(clip=clip, clip_threshold=t)), "clipped_fraction", "dense")
        for t in (1e-9, 1e9)
    )
    assert everything[1:] == [1.0, 1.0]
    assert nothing == [0.0, 0.0, 0.0]


def test_averages_equal_to_the_input_have_no_drift() -> None:
    variant = small(norm="bn_pre", hidden=[8], precision="float64")
    setup = make_program(variant)
    start = examine(variant, setup)
    images = np.concatenate([i for i, _ in probe_batches(variant, arrays_of(variant))])
    pixels = images.reshape(len(images), -1) / 255.0
    first = setup.model.layers[2]
    variance = pixels.var(axis=0) + first.epsilon
    expected_mean = np.sqrt(np.mean(np.square(pixels.mean(axis=0)) / variance))
    expected_variance = np.sqrt(np.mean(np.square(np.log((1 + first.epsilon) / variance))))
    assert start.moving_mean_drift[1] == pytest.approx(expected_mean, rel=1e-5)
    assert start.moving_variance_drift[1] == pytest.approx(expected_variance, rel=1e-5)
    first.moving_mean.assign(pixels.mean(axis=0))
    first.moving_variance.assign(pixels.var(axis=0))
    after = examine(variant, setup)
    assert after.moving_mean_drift[1] == pytest.approx(0, abs=1e-9)
    assert after.moving_variance_drift[1] == pytest.approx(0, abs=1e-9)


def test_the_vanishing_gradient_of_sigmoids_is_measured() -> None:
    deep = small(hidden=[20], depth=40, activation="sigmoid", initializer="glorot_normal")
    health = examine(deep)
    norms = by_kind(health, "gradient_norm", "dense")
    assert 0 < norms[0] < 1e-22 < 1e-3 < norms[-1]
    assert health.depth[-1] == 41


def test_he_initialization_keeps_the_variance_and_a_standard_normal_explodes() -> None:
    def last(initializer: str) -> float:
        variant = small(hidden=[100], depth=20, initializer=initializer)
        return float(by_kind(examine(variant), "output_variance", "activation")[-1])

    assert 1e-3 < last("he_normal") < 1e2
    assert last("standard_normal") > 1e25


def test_selu_normalizes_itself_on_standardized_inputs() -> None:
    variant = small(
        hidden=[100],
        depth=30,
        activation="selu",
        initializer="lecun_normal",
        inputs="standardized",
    )
    health = examine(variant)
    assert np.abs(by_kind(health, "output_mean", "activation")).max() < 0.3
    deviations = np.sqrt(by_kind(health, "output_variance", "activation"))
    assert 0.6 < deviations.min() <= deviations.max() < 1.4
