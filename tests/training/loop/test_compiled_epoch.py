"""The compiled epoch computes, counts and times the right steps."""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from bench.datasets.arrays import Arrays
from bench.spec.variant import Variant
from bench.training.data.examples import ExampleReader
from bench.training.data.windows import Window
from bench.training.exceptions import UnsupportedProgram
from bench.training.loop.compiled_epoch import CompiledEpoch
from bench.training.loop.gradient_update import OPTIMIZERS
from bench.training.loop.loss_scale import LossScale
from bench.training.loop.training_state import weights_l2
from bench.training.loop.training_step import count_correct
from bench.training.model.models import build_model
from tests.support.training_setup import (
    SMALL,
    TrainingSetup,
    arrays_of,
    make_program,
    small,
    snapshot,
    train_fresh,
    variant_of,
)

TEN_STEPS = {"examples": 320}
TOLERANCE = {"float32": 1e-6, "float64": 1e-13, "mixed_bfloat16": 5e-4, "mixed_float16": 5e-4}
"""Largest difference of a weight after ten steps, in which some change by more than 0.01."""


def train_epochs(variant: Variant, epochs: int = 1) -> TrainingSetup:
    setup = make_program(variant)
    setup.program.cold_start()
    for epoch in range(epochs):
        setup.program.run_epoch(epoch)
    return setup


def difference(mine: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Return the largest difference over all tensors."""
    return max(float(np.abs(a - b).max()) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize(
    "axes",
    [
        {},
        {"norm": "bn_post"},
        {"norm": "bn_pre"},
        {"optimizer": "adam"},
        {"norm": "layer", "optimizer": "momentum"},
        {"workload": "convnet", "norm": "group"},
        {"clip": "value", "clip_threshold": 0.02},
        {"clip": "norm", "clip_threshold": 0.3},
        {"clip": "global_norm", "clip_threshold": 0.5},
    ],
    ids=str,
)
def test_ten_steps_match_a_plain_keras_loop(axes: dict[str, Any]) -> None:
    variant = small(**TEN_STEPS, **axes, precision="float64")
    setup = make_program(variant)
    result = setup.program.run_epoch(0)
    reference, losses, correct = _plain_loop(variant, make_program(variant))
    assert difference(snapshot(setup.model.variables), snapshot(reference.variables)) < 1e-12
    assert result.loss == pytest.approx(np.mean(losses), rel=1e-10)
    assert result.accuracy == pytest.approx(correct / 320)


def _plain_loop(variant: Variant, setup: TrainingSetup) -> tuple[keras.Model, list[float], int]:
    """Run the same batches eagerly with Keras's layers, loss, clipping and optimizer."""
    model = build_model(variant, variant.shape, variant.classes, seed=1)
    optimizer = OPTIMIZERS[variant.optimizer](variant.learning_rate)
    names = {"value": "clipvalue", "norm": "clipnorm", "global_norm": "global_clipnorm"}
    if variant.clip != "none":
        setattr(optimizer, names[variant.clip], variant.clip_threshold)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
    losses, correct = [], 0
    for steps, inputs in setup.feed.windows(0):
        for step in range(steps):
            images, labels = setup.feed.batch(*setup.feed.fetch(tf.constant(step), *inputs))
            with tf.GradientTape() as tape:
                logits = model(images, training=True)
                loss = loss_of(labels, logits)
            optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
            losses.append(float(loss))
            correct += int((np.argmax(logits, 1) == labels.numpy()).sum())
    return model, losses, correct


@pytest.mark.parametrize(
    ("precision", "norm"), [("float32", "none"), *((name, "bn_post") for name in TOLERANCE)]
)
def test_jit_changes_no_weight_beyond_rounding(precision: str, norm: str) -> None:
    axes = {**SMALL, **TEN_STEPS, "precision": precision, "norm": norm, "learning_rate": 0.01}
    start = snapshot(make_program(variant_of(**axes)).model.trainable_variables)
    plain, *compiled = (
        snapshot(train_epochs(variant_of(**axes, jit=jit)).model.trainable_variables)
        for jit in ("none", "step", "epoch")
    )
    assert difference(plain, start) > 0.01
    for weights in compiled:
        assert difference(weights, plain) < TOLERANCE[precision]


@pytest.mark.parametrize(
    "axes",
    [
        {"norm": "bn_post", "optimizer": "adam"},
        {"precision": "mixed_float16", "optimizer": "momentum"},
        {"pipeline": "tfdata"},
        {"jit": "none"},
    ],
    ids=str,
)
def test_the_cold_start_changes_nothing(axes: dict[str, Any]) -> None:
    warm, cold = make_program(small(**axes)), make_program(small(**axes))
    before = snapshot(warm.state)
    assert warm.program.cold_start() > 0
    for old, new in zip(before, snapshot(warm.state), strict=True):
        np.testing.assert_array_equal(old, new)
    for epoch in range(2):
        after_warm, after_cold = (p.program.run_epoch(epoch) for p in (warm, cold))
        assert after_warm.loss == after_cold.loss
    for mine, theirs in zip(snapshot(warm.state), snapshot(cold.state), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("jit", ["none", "step", "epoch"])
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(jit: str) -> None:
    def fingerprint(seed: int) -> float:
        setup = make_program(small(jit=jit, norm="bn_post"), seed)
        setup.program.cold_start()
        setup.program.run_epoch(0)
        return weights_l2(setup.model.trainable_variables)

    assert fingerprint(1) == fingerprint(1) != fingerprint(2)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_in_another_process() -> None:
    plain = small(norm="bn_post", epochs=2)
    deterministic = plain.model_copy(update={"deterministic": True})
    with ThreadPoolExecutor() as pool:
        records = list(pool.map(train_fresh, [plain, plain, deterministic]))
    first, second, third = (record.measures.weights_l2 for record in records)
    assert first is not None
    assert first == second
    # A deterministic run is possible too, and its results agree.
    assert records[2].resolved["deterministic"] is True
    assert third == pytest.approx(first, rel=1e-6)


def test_device_and_tfdata_train_the_same_weights() -> None:
    device, tfdata = (
        snapshot(train_epochs(small(pipeline=pipeline, jit="step"), epochs=2).model.variables)
        for pipeline in ("device", "tfdata")
    )
    assert difference(device, tfdata) < 1e-6


def test_an_epoch_counts_its_steps_and_the_examples_it_used() -> None:
    result = train_epochs(small()).program.run_epoch(1)
    assert (result.steps, result.examples) == (21, 21 * 32)
    assert result.accuracy is not None and 0 <= result.accuracy <= 1
    assert (result.clipped_steps, result.skipped_steps) == (0, 0)
    assert not result.diverged


def test_clipped_steps_are_counted() -> None:
    always = train_epochs(small(clip="global_norm", clip_threshold=1e-6)).program.run_epoch(1)
    never = train_epochs(small(clip="global_norm", clip_threshold=1e6)).program.run_epoch(1)
    assert (always.clipped_steps, never.clipped_steps) == (21, 0)


@pytest.mark.parametrize("device", ["CPU", "GPU"])
def test_skipped_steps_are_counted(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.training.loop.gradient_update.device_kind", lambda: device)
    setup = make_program(small(precision="mixed_float16", jit="none"))
    setup.program.cold_start()
    assert setup.update.loss_scale is not None
    # Too large for float16 at first: each step halves the scale.
    setup.update.loss_scale.scale.assign(2.0**24)
    result = setup.program.run_epoch(0)
    assert 0 < result.skipped_steps < 21
    assert float(setup.update.loss_scale.scale) == 2.0 ** (24 - result.skipped_steps)
    assert np.isfinite(weights_l2(setup.model.trainable_variables))


@pytest.mark.parametrize("jit", ["none", "step", "epoch"])
def test_the_loss_of_an_epoch_excludes_skipped_steps(jit: str) -> None:
    variant = small(precision="mixed_float16", learning_rate=1e-9, jit=jit)
    arrays = arrays_of(variant)
    images = np.zeros_like(arrays.train_images)
    images[3] = 255
    dark = Arrays(**{**vars(arrays), "train_images": images})
    setup = make_program(variant, arrays=dark)
    # With these weights, sixteen white pixels overflow float16, and black ones give 0.
    setup.model.trainable_variables[0].assign(np.full((16, 16), 60_000.0))
    setup.program.cold_start()
    result = setup.program.run_epoch(0)
    assert result.skipped_steps == 1
    assert result.loss == pytest.approx(math.log(5), rel=1e-3)
    assert not result.diverged
    assert result.accuracy is not None
    bright = Arrays(**{**vars(arrays), "train_images": np.full_like(images, 255)})
    setup = make_program(variant, arrays=bright)
    setup.model.trainable_variables[0].assign(np.full((16, 16), 60_000.0))
    result = setup.program.run_epoch(0)
    assert result.skipped_steps == result.steps
    assert result.diverged


OVERFLOWING = 2.0**24
"""A loss scale that overflows float16 in the first steps of a small network."""


@pytest.mark.parametrize("jit", ["none", "step", "epoch"])
def test_a_loss_scale_settles_before_the_first_epoch(jit: str) -> None:
    setup = make_program(small(precision="mixed_float16", examples=64, jit=jit))
    assert setup.update.loss_scale is not None
    setup.update.loss_scale.scale.assign(OVERFLOWING)
    before = snapshot(setup.state)
    setup.program.cold_start()
    steps = setup.program.settle_loss_scale()
    scale, finite_steps = before[-2:]
    for old, variable in zip(before[:-2], setup.state[:-2], strict=True):
        np.testing.assert_array_equal(old, variable.numpy())
    assert setup.program.loss_scale is not None
    halvings = math.log2(scale / setup.program.loss_scale)
    assert halvings == int(halvings) > 2  # more than the steps of an epoch
    assert halvings <= steps <= 2 * halvings + 2
    assert int(setup.update.loss_scale.finite_steps) == finite_steps == 0
    assert setup.program.run_epoch(0).skipped_steps == 0


def test_a_suitable_loss_scale_stays() -> None:
    setup = train_epochs(small(precision="mixed_float16"), epochs=0)
    assert setup.program.settle_loss_scale() == 0
    assert setup.program.loss_scale == LossScale.INITIAL
    unscaled = train_epochs(small(), epochs=0)
    assert (unscaled.program.settle_loss_scale(), unscaled.program.loss_scale) == (0, None)


def test_a_settling_loss_scale_is_no_divergence() -> None:
    setup = make_program(small(precision="mixed_float16", examples=64))
    assert setup.update.loss_scale is not None
    setup.program.cold_start()
    setup.update.loss_scale.scale.assign(OVERFLOWING)
    results = [setup.program.run_epoch(epoch) for epoch in range(6)]
    assert results[0].all_skipped
    assert not any(result.diverged for result in results)
    assert results[-1].skipped_steps == 0


def test_gradients_that_overflow_at_every_loss_scale_are_a_divergence() -> None:
    variant = small(precision="mixed_float16", examples=64)
    arrays = arrays_of(variant)
    white = {**vars(arrays), "train_images": np.full_like(arrays.train_images, 255)}
    setup = make_program(variant, arrays=Arrays(**white))
    setup.model.trainable_variables[0].assign(np.full((16, 16), 60_000.0))
    setup.program.cold_start()
    assert setup.program.settle_loss_scale() == 16  # windows of two steps, from 2 ** 15
    assert setup.program.loss_scale == 1.0
    assert setup.program.run_epoch(0).diverged


@pytest.mark.parametrize(
    ("jit", "device"), [("none", "CPU"), ("step", "CPU"), ("epoch", "CPU"), ("none", "GPU")]
)
def test_skipped_steps_change_only_the_scale(
    jit: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a GPU there is no branch, since the host would wait for its condition.
    monkeypatch.setattr("bench.training.loop.gradient_update.device_kind", lambda: device)
    setup = make_program(small(precision="mixed_float16", norm="bn_post", clip="norm", jit=jit))
    setup.program.cold_start()
    assert setup.update.loss_scale is not None
    setup.update.loss_scale.scale.assign(2.0**60)
    unchanged = [*setup.model.variables, *setup.update.optimizer.variables]
    before = snapshot(unchanged)
    result = setup.program.run_epoch(0)
    assert (result.skipped_steps, result.clipped_steps) == (21, 0)
    for old, new in zip(before, snapshot(unchanged), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_nan_loss_is_a_divergence() -> None:
    result = train_epochs(small(learning_rate=1e30)).program.run_epoch(1)
    assert result.diverged
    assert result.accuracy is None


class Ticks:
    """A clock that advances by one second at each reading."""

    def __init__(self) -> None:
        self.readings = 0

    def __call__(self) -> float:
        self.readings += 1
        return float(self.readings)


def test_an_epoch_s_time_covers_all_its_windows() -> None:
    setup = make_program(small(examples=6400, global_batch_size=8), clock=Ticks())
    assert setup.program.cold_start() == 1.0
    result = setup.program.run_epoch(0)
    assert result.window_s == (1.0,) * 8
    assert result.epoch_s == 8.0


@pytest.mark.parametrize("axes", [{"norm": "bn_post", "optimizer": "adam"}, {"pipeline": "tfdata"}])
def test_a_warm_up_lasts_its_time_and_leaves_no_trace(axes: dict[str, Any]) -> None:
    variant = small(**axes)
    warm, cold = (make_program(variant, clock=Ticks()) for _ in range(2))
    for setup in (warm, cold):
        setup.program.cold_start()
    warm_up = warm.program.warm_up(warmup_s=4.0, min_timing_s=0.0)
    # The clock advances by one second a window of three steps.
    assert (warm_up.steps, warm_up.elapsed_s, warm_up.repeats) == (4 * 3, 4.0, 1)
    for setup in (warm, cold):
        setup.program.run_epoch(0)
    for mine, theirs in zip(snapshot(warm.state), snapshot(cold.state), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_a_short_epoch_is_timed_several_times_and_trained_once() -> None:
    variant = small(norm="bn_post", precision="mixed_float16")
    repeated, single = (make_program(variant, clock=Ticks()) for _ in range(2))
    for setup in (repeated, single):
        setup.program.cold_start()
    assert repeated.program.warm_up(warmup_s=0.0, min_timing_s=17.5).repeats == 3
    several, one = repeated.program.run_epoch(0), single.program.run_epoch(0)
    assert (several.repeats, one.repeats) == (3, 1)
    assert (several.epoch_s, several.window_s) == (one.epoch_s, one.window_s) == (7.0, (1.0,) * 7)
    assert (several.loss, several.accuracy) == (one.loss, one.accuracy)
    for mine, theirs in zip(snapshot(repeated.state), snapshot(single.state), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_a_stream_can_be_deterministic_without_a_clock_in_its_graph() -> None:
    variant = small(pipeline="tfdata", deterministic=True)
    record = train_fresh(variant)
    assert record.status == "completed", record.error
    assert {epoch.input_wait_s for epoch in record.epochs} == {None}


class ChangingWindows:
    """A feed that splits its second epoch differently from its first."""

    def __init__(self, setup: TrainingSetup, variant: Variant) -> None:
        self._feed, self._steps = setup.feed, variant.steps_per_epoch
        self.order, self.augments = setup.feed.order, setup.feed.augments
        self.waits = setup.feed.waits
        self.fetch, self.batch = setup.feed.fetch, setup.feed.batch

    def windows(self, epoch: int) -> Iterator[Window]:
        for steps, inputs in self._feed.windows(epoch):
            yield steps - epoch, inputs


def test_tracing_again_inside_an_epoch_is_an_error() -> None:
    variant = small()
    setup = make_program(variant)
    feed = ChangingWindows(setup, variant)
    program = CompiledEpoch(variant, setup.model, setup.update, feed, setup.replicas)
    program.cold_start()
    program.run_epoch(0)
    with pytest.raises(RuntimeError, match="again inside an epoch"):
        program.run_epoch(1)


def test_a_program_that_xla_cannot_compile_is_refused_with_a_reason() -> None:
    setup = make_program(small(pipeline="tfdata", jit="epoch"))
    with pytest.raises(UnsupportedProgram, match="Iterator"):
        setup.program.cold_start()


@pytest.mark.slow
def test_an_epoch_is_traced_once_for_each_window_size() -> None:
    setup = make_program(small(examples=6464, global_batch_size=8))
    setup.program.cold_start()
    for epoch in range(3):
        setup.program.run_epoch(epoch)
    assert [steps for steps, _ in setup.feed.windows(0)] == [101] * 8
    assert setup.program.window.trace_count == 1


def test_correct_answers_are_counted_at_the_largest_logit() -> None:
    logits = tf.constant([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0], [0.0, 0.0, 1.0]])
    assert int(count_correct(logits, tf.constant([1, 1, 2], tf.int64))) == 2


def slow(seconds: float) -> Callable[..., Any]:
    """Return an ``ExampleReader.look_up`` that takes ``seconds`` longer."""
    look_up = ExampleReader.look_up

    def delayed(reader: ExampleReader, images: Any, labels: Any, indices: Any) -> Any:
        delay = tf.py_function(lambda: time.sleep(seconds), [], [])
        with tf.control_dependencies([delay]):
            return look_up(reader, images, labels, tf.identity(indices))

    return delayed


@pytest.mark.parametrize("jit", ["none", "step"])
def test_the_wait_for_batches_is_measured(jit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExampleReader, "look_up", slow(0.1))
    setup = make_program(small(pipeline="tfdata", jit=jit, examples=320))
    setup.program.cold_start()
    result = setup.program.run_epoch(0)
    assert result.input_wait_s is not None
    # Ten batches of a tenth of a second each, as many in parallel as there are threads.
    assert 0.2 < result.input_wait_s <= result.epoch_s


def test_with_data_on_the_device_no_step_waits() -> None:
    setup = make_program(small(examples=320))
    setup.program.cold_start()
    assert setup.program.run_epoch(0).input_wait_s is None
