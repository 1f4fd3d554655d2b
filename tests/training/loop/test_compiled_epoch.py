"""The compiled epoch: what it computes, what it counts, and what its time covers."""

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
from bench.training.failures import UnsupportedProgram
from bench.training.loop.compiled_epoch import CompiledEpoch
from bench.training.loop.gradient_update import OPTIMIZERS, LossScale
from bench.training.loop.training_state import weights_l2
from bench.training.loop.training_step import count_correct
from bench.training.loop.windows import Window
from bench.training.model.models import build_model
from tests.support.training_setup import (
    SMALL,
    Made,
    arrays_of,
    make_program,
    small,
    snapshot,
    train_fresh,
    variant_of,
)

TEN_STEPS = {"examples": 320}
TOLERANCE = {"float32": 1e-6, "float64": 1e-13, "mixed_bfloat16": 5e-4, "mixed_float16": 5e-4}
"""Largest difference of a weight after ten steps, in which some move by more than 0.01."""


def trained(variant: Variant, epochs: int = 1) -> Made:
    made = make_program(variant)
    made.program.cold_start()
    for epoch in range(epochs):
        made.program.run_epoch(epoch)
    return made


def difference(mine: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """The largest over all tensors."""
    return max(float(np.abs(a - b).max()) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize(
    "asked",
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
def test_ten_steps_are_those_of_a_plain_keras_loop(asked: dict[str, Any]) -> None:
    variant = small(**TEN_STEPS, **asked, precision="float64")
    made = make_program(variant)
    result = made.program.run_epoch(0)
    reference, losses, correct = _plain_loop(variant, make_program(variant))
    assert difference(snapshot(made.model.variables), snapshot(reference.variables)) < 1e-12
    assert result.loss == pytest.approx(np.mean(losses), rel=1e-10)
    assert result.accuracy == pytest.approx(correct / 320)


def _plain_loop(variant: Variant, source: Made) -> tuple[keras.Model, list[float], int]:
    """The same batches through Keras's own layers, loss, clipping and optimiser, eagerly."""
    model = build_model(variant, variant.shape, variant.classes, seed=1)
    optimizer = OPTIMIZERS[variant.optimizer](variant.learning_rate)
    names = {"value": "clipvalue", "norm": "clipnorm", "global_norm": "global_clipnorm"}
    if variant.clip != "none":
        setattr(optimizer, names[variant.clip], variant.clip_threshold)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
    losses, correct = [], 0
    for steps, inputs in source.feed.windows(0):
        for step in range(steps):
            images, labels = source.feed.batch(*source.feed.fetch(tf.constant(step), *inputs))
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
    asked = {**SMALL, **TEN_STEPS, "precision": precision, "norm": norm, "learning_rate": 0.01}
    start = snapshot(make_program(variant_of(**asked)).model.trainable_variables)
    plain, *compiled = (
        snapshot(trained(variant_of(**asked, jit=jit)).model.trainable_variables)
        for jit in ("none", "step", "epoch")
    )
    assert difference(plain, start) > 0.01
    for weights in compiled:
        assert difference(weights, plain) < TOLERANCE[precision]


@pytest.mark.parametrize(
    "asked",
    [
        {"norm": "bn_post", "optimizer": "adam"},
        {"precision": "mixed_float16", "optimizer": "momentum"},
        {"pipeline": "tfdata"},
        {"jit": "none"},
    ],
    ids=str,
)
def test_the_cold_start_changes_nothing(asked: dict[str, Any]) -> None:
    warm, cold = make_program(small(**asked)), make_program(small(**asked))
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
        made = make_program(small(jit=jit, norm="bn_post"), seed)
        made.program.cold_start()
        made.program.run_epoch(0)
        return weights_l2(made.model.trainable_variables)

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
    # Determinism asked for holds as well, and runs.
    assert records[2].resolved["deterministic"] is True
    assert third == pytest.approx(first, rel=1e-6)


def test_both_pipelines_train_the_same_weights() -> None:
    device, tfdata = (
        snapshot(trained(small(pipeline=pipeline, jit="step"), epochs=2).model.variables)
        for pipeline in ("device", "tfdata")
    )
    assert difference(device, tfdata) < 1e-6


def test_an_epoch_counts_its_steps_and_the_examples_it_used() -> None:
    result = trained(small()).program.run_epoch(1)
    assert (result.steps, result.examples) == (21, 21 * 32)
    assert result.accuracy is not None and 0 <= result.accuracy <= 1
    assert (result.clipped_steps, result.skipped_steps) == (0, 0)
    assert not result.diverged


def test_steps_in_which_clipping_acted_are_counted() -> None:
    always = trained(small(clip="global_norm", clip_threshold=1e-6)).program.run_epoch(1)
    never = trained(small(clip="global_norm", clip_threshold=1e6)).program.run_epoch(1)
    assert (always.clipped_steps, never.clipped_steps) == (21, 0)


@pytest.mark.parametrize("device", ["CPU", "GPU"])
def test_steps_skipped_for_a_non_finite_gradient_are_counted(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.training.loop.gradient_update.device_kind", lambda: device)
    made = make_program(small(precision="mixed_float16", jit="none"))
    made.program.cold_start()
    assert made.update.loss_scale is not None
    # Too much for float16 at first: the scale comes down by half at each step.
    made.update.loss_scale.scale.assign(2.0**24)
    result = made.program.run_epoch(0)
    assert 0 < result.skipped_steps < 21
    assert float(made.update.loss_scale.scale) == 2.0 ** (24 - result.skipped_steps)
    assert np.isfinite(weights_l2(made.model.trainable_variables))


@pytest.mark.parametrize("jit", ["none", "step", "epoch"])
def test_the_loss_of_an_epoch_is_that_of_the_steps_that_were_taken(jit: str) -> None:
    variant = small(precision="mixed_float16", learning_rate=1e-9, jit=jit)
    arrays = arrays_of(variant)
    images = np.zeros_like(arrays.train_images)
    images[3] = 255
    dark = Arrays(**{**vars(arrays), "train_images": images})
    made = make_program(variant, arrays=dark)
    # Sixteen white pixels are too much for float16 with such weights, black ones are nothing.
    made.model.trainable_variables[0].assign(np.full((16, 16), 60_000.0))
    made.program.cold_start()
    result = made.program.run_epoch(0)
    assert result.skipped_steps == 1
    assert result.loss == pytest.approx(math.log(5), rel=1e-3)
    assert not result.diverged
    assert result.accuracy is not None
    bright = Arrays(**{**vars(arrays), "train_images": np.full_like(images, 255)})
    made = make_program(variant, arrays=bright)
    made.model.trainable_variables[0].assign(np.full((16, 16), 60_000.0))
    result = made.program.run_epoch(0)
    assert result.skipped_steps == result.steps
    assert result.diverged


OVERFLOWING = 2.0**24
"""A loss scale that is too much for float16 in the first steps of a small network."""


@pytest.mark.parametrize("jit", ["none", "step", "epoch"])
def test_a_loss_scale_settles_before_the_first_epoch(jit: str) -> None:
    made = make_program(small(precision="mixed_float16", examples=64, jit=jit))
    assert made.update.loss_scale is not None
    made.update.loss_scale.scale.assign(OVERFLOWING)
    before = snapshot(made.state)
    made.program.cold_start()
    steps = made.program.settle_loss_scale()
    scale, calm = before[-2:]
    for old, variable in zip(before[:-2], made.state[:-2], strict=True):
        np.testing.assert_array_equal(old, variable.numpy())
    assert made.program.loss_scale is not None
    halvings = math.log2(scale / made.program.loss_scale)
    assert halvings == int(halvings) > 2  # more than an epoch has steps
    assert halvings <= steps <= 2 * halvings + 2
    assert int(made.update.loss_scale.finite_steps) == calm == 0
    assert made.program.run_epoch(0).skipped_steps == 0


def test_a_loss_scale_that_fits_is_left_as_it_is() -> None:
    made = trained(small(precision="mixed_float16"), epochs=0)
    assert made.program.settle_loss_scale() == 0
    assert made.program.loss_scale == LossScale.INITIAL
    unscaled = trained(small(), epochs=0)
    assert (unscaled.program.settle_loss_scale(), unscaled.program.loss_scale) == (0, None)


def test_a_loss_scale_that_still_settles_is_no_divergence() -> None:
    made = make_program(small(precision="mixed_float16", examples=64))
    assert made.update.loss_scale is not None
    made.program.cold_start()
    made.update.loss_scale.scale.assign(OVERFLOWING)
    results = [made.program.run_epoch(epoch) for epoch in range(6)]
    assert results[0].all_skipped
    assert not any(result.diverged for result in results)
    assert results[-1].skipped_steps == 0


def test_gradients_that_no_loss_scale_makes_finite_are_divergence() -> None:
    variant = small(precision="mixed_float16", examples=64)
    arrays = arrays_of(variant)
    white = {**vars(arrays), "train_images": np.full_like(arrays.train_images, 255)}
    made = make_program(variant, arrays=Arrays(**white))
    made.model.trainable_variables[0].assign(np.full((16, 16), 60_000.0))
    made.program.cold_start()
    assert made.program.settle_loss_scale() == 16  # windows of two steps, from 2 ** 15
    assert made.program.loss_scale == 1.0
    assert made.program.run_epoch(0).diverged


@pytest.mark.parametrize(
    ("jit", "device"), [("none", "CPU"), ("step", "CPU"), ("epoch", "CPU"), ("none", "GPU")]
)
def test_skipped_steps_leave_everything_but_the_scale_as_it_was(
    jit: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without a branch for a GPU, where the host would wait for what decides it.
    monkeypatch.setattr("bench.training.loop.gradient_update.device_kind", lambda: device)
    made = make_program(small(precision="mixed_float16", norm="bn_post", clip="norm", jit=jit))
    made.program.cold_start()
    assert made.update.loss_scale is not None
    made.update.loss_scale.scale.assign(2.0**60)
    kept = [*made.model.variables, *made.update.optimizer.variables]
    before = snapshot(kept)
    result = made.program.run_epoch(0)
    assert (result.skipped_steps, result.clipped_steps) == (21, 0)
    for old, new in zip(before, snapshot(kept), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_loss_that_is_no_number_is_divergence() -> None:
    result = trained(small(learning_rate=1e30)).program.run_epoch(1)
    assert result.diverged
    assert result.accuracy is None


class Ticks:
    """A clock that moves on by a second at each look."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return float(self.looks)


def test_an_epoch_is_timed_from_before_its_first_window_to_after_its_last() -> None:
    made = make_program(small(examples=6400, global_batch_size=8), clock=Ticks())
    assert made.program.cold_start() == 1.0
    result = made.program.run_epoch(0)
    assert result.window_s == (1.0,) * 8
    assert result.epoch_s == 8.0


@pytest.mark.parametrize(
    "asked", [{"norm": "bn_post", "optimizer": "adam"}, {"pipeline": "tfdata"}]
)
def test_a_warm_up_takes_its_time_and_leaves_no_trace(asked: dict[str, Any]) -> None:
    variant = small(**asked)
    warm, cold = (make_program(variant, clock=Ticks()) for _ in range(2))
    for made in (warm, cold):
        made.program.cold_start()
    done = warm.program.warm_up(warmup_s=4.0, min_timing_s=0.0)
    # A clock that moves on by a second a window, of 21 steps each.
    assert (done.steps, done.elapsed_s, done.repeats) == (4 * 21, 4.0, 1)
    for made in (warm, cold):
        made.program.run_epoch(0)
    for mine, theirs in zip(snapshot(warm.state), snapshot(cold.state), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_an_epoch_too_short_to_time_is_timed_several_times_and_trained_once() -> None:
    variant = small(norm="bn_post", precision="mixed_float16")
    timed, once = (make_program(variant, clock=Ticks()) for _ in range(2))
    for made in (timed, once):
        made.program.cold_start()
    assert timed.program.warm_up(warmup_s=0.0, min_timing_s=2.5).repeats == 3
    often, alone = timed.program.run_epoch(0), once.program.run_epoch(0)
    assert (often.repeats, alone.repeats) == (3, 1)
    assert (often.epoch_s, often.window_s) == (alone.epoch_s, alone.window_s) == (1.0, (1.0,))
    assert (often.loss, often.accuracy) == (alone.loss, alone.accuracy)
    for mine, theirs in zip(snapshot(timed.state), snapshot(once.state), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_a_stream_can_be_deterministic_and_then_no_clock_stands_in_its_graph() -> None:
    variant = small(pipeline="tfdata", deterministic=True)
    record = train_fresh(variant)
    assert record.status == "completed", record.error
    assert {epoch.input_wait_s for epoch in record.epochs} == {None}


class ChangesItsWindows:
    """A feed that splits its second epoch differently from its first."""

    def __init__(self, made: Made, variant: Variant) -> None:
        self._feed, self._steps = made.feed, variant.steps_per_epoch
        self.order, self.augments = made.feed.order, made.feed.augments
        self.waits = made.feed.waits
        self.fetch, self.batch = made.feed.fetch, made.feed.batch

    def windows(self, epoch: int) -> Iterator[Window]:
        for steps, inputs in self._feed.windows(epoch):
            yield steps - epoch, inputs


def test_tracing_again_inside_an_epoch_is_an_error() -> None:
    variant = small()
    made = make_program(variant)
    feed = ChangesItsWindows(made, variant)
    program = CompiledEpoch(variant, made.model, made.update, feed, made.replicas)
    program.cold_start()
    program.run_epoch(0)
    with pytest.raises(RuntimeError, match="again inside an epoch"):
        program.run_epoch(1)


def test_what_tensorflow_cannot_compile_is_refused_with_its_reason() -> None:
    made = make_program(small(pipeline="tfdata", jit="epoch"))
    with pytest.raises(UnsupportedProgram, match="Iterator"):
        made.program.cold_start()


@pytest.mark.slow
def test_a_whole_epoch_is_traced_once_for_each_window_size() -> None:
    made = make_program(small(examples=6464, global_batch_size=8))
    made.program.cold_start()
    for epoch in range(3):
        made.program.run_epoch(epoch)
    assert [steps for steps, _ in made.feed.windows(0)] == [101] * 8
    assert made.program._run.experimental_get_tracing_count() == 1


def test_correct_answers_are_counted_at_the_largest_logit() -> None:
    logits = tf.constant([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0], [0.0, 0.0, 1.0]])
    assert int(count_correct(logits, tf.constant([1, 1, 2], tf.int64))) == 2


def slow(seconds: float) -> Callable[..., Any]:
    """``ExampleReader.look_up`` that takes so much longer."""
    look_up = ExampleReader.look_up

    def later(source: ExampleReader, images: Any, labels: Any, indices: Any) -> Any:
        asleep = tf.py_function(lambda: time.sleep(seconds), [], [])
        with tf.control_dependencies([asleep]):
            return look_up(source, images, labels, tf.identity(indices))

    return later


@pytest.mark.parametrize("jit", ["none", "step"])
def test_the_time_that_steps_wait_for_their_batches_is_known(
    jit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExampleReader, "look_up", slow(0.1))
    made = make_program(small(pipeline="tfdata", jit=jit, examples=320))
    made.program.cold_start()
    result = made.program.run_epoch(0)
    assert result.input_wait_s is not None
    # Ten batches of a tenth of a second, as many at once as there are threads.
    assert 0.2 < result.input_wait_s <= result.epoch_s


def test_where_the_device_holds_the_data_no_step_waits() -> None:
    made = make_program(small(examples=320))
    made.program.cold_start()
    assert made.program.run_epoch(0).input_wait_s is None
