"""Clipping, skipped steps and the loss scale obey their rules."""

import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from bench.spec.variant import Variant
from bench.training.device_strategy import make_replicas
from bench.training.loop.gradient_update import (
    OPTIMIZERS,
    GradientUpdate,
    LossScale,
    clip_gradients,
)
from bench.training.model.models import build_model
from tests.support.training_setup import FEW, small, snapshot

KINDS = ("value", "norm", "global_norm")
NUMBERS = st.floats(-1e6, 1e6, width=32)
TENSORS = st.lists(st.lists(NUMBERS, min_size=1, max_size=5), min_size=1, max_size=4)
THRESHOLDS = st.floats(0.01, 100.0)


def clipped(
    gradients: list[list[float]], kind: str, threshold: float = 1.0
) -> tuple[list[np.ndarray], int]:
    tensors = [tf.constant(g, tf.float64) for g in gradients]
    after, changed = clip_gradients(tensors, kind, threshold)
    return [g.numpy() for g in after], int(changed)


def norm_over_all(gradients: list[np.ndarray]) -> float:
    return math.sqrt(sum(float(np.square(g).sum()) for g in gradients))


def test_clip_by_value_gives_the_notebooks_numbers() -> None:
    ((first, second),), changed = clipped([[0.9, 100.0]], "value")
    assert (first, second, changed) == (0.9, 1.0, 1)


def test_clip_by_norm_gives_the_notebooks_numbers() -> None:
    for kind in ("norm", "global_norm"):
        (actual,), changed = clipped([[0.9, 100.0]], kind)
        np.testing.assert_allclose(actual, [0.00899964, 0.9999595], atol=5e-9)
        assert changed == 1


def test_global_norm_scales_all_tensors_together_and_norm_each_separately() -> None:
    pair = [[3.0], [4.0]]
    assert [float(g[0]) for g in clipped(pair, "norm")[0]] == [1.0, 1.0]
    np.testing.assert_allclose(np.concatenate(clipped(pair, "global_norm")[0]), [0.6, 0.8])


@FEW
@given(TENSORS, THRESHOLDS)
def test_clip_by_value_bounds_each_element_and_leaves_those_inside(
    gradients: list[list[float]], threshold: float
) -> None:
    after, changed = clipped(gradients, "value", threshold)
    before = np.concatenate(gradients)
    np.testing.assert_array_equal(np.concatenate(after), np.clip(before, -threshold, threshold))
    assert changed == int((np.abs(before) > threshold).any())


@FEW
@given(TENSORS, THRESHOLDS)
def test_clip_by_norm_bounds_each_norm_and_keeps_its_direction(
    gradients: list[list[float]], threshold: float
) -> None:
    after, changed = clipped(gradients, "norm", threshold)
    norms = [float(np.linalg.norm(g)) for g in gradients]
    for before, actual, norm in zip(gradients, after, norms, strict=True):
        expected = np.array(before) * (threshold / norm if norm > threshold else 1.0)
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12 * threshold)
    assert changed == int(max(norms) > threshold)


@FEW
@given(TENSORS, THRESHOLDS)
def test_clip_by_global_norm_bounds_it_with_one_factor(
    gradients: list[list[float]], threshold: float
) -> None:
    after, changed = clipped(gradients, "global_norm", threshold)
    norm = norm_over_all([np.array(g) for g in gradients])
    assert norm_over_all(after) <= threshold * (1 + 1e-12) or changed == 0
    factor = threshold / norm if norm > threshold else 1.0
    np.testing.assert_allclose(
        np.concatenate(after), np.concatenate(gradients) * factor, rtol=1e-12, atol=1e-300
    )
    assert changed == int(norm > threshold)


@FEW
@given(TENSORS, st.sampled_from(KINDS))
def test_gradients_below_the_threshold_are_unchanged(
    gradients: list[list[float]], kind: str
) -> None:
    after, changed = clipped(gradients, kind, threshold=1e8)
    np.testing.assert_array_equal(np.concatenate(after), np.concatenate(gradients))
    assert changed == 0


def test_without_clipping_nothing_is_changed_or_counted() -> None:
    (actual,), changed = clipped([[0.9, 100.0]], "none")
    assert (actual.tolist(), changed) == ([0.9, 100.0], 0)


@pytest.mark.parametrize("kind", ["norm", "global_norm"])
@pytest.mark.parametrize("broken", [math.inf, math.nan])
def test_a_broken_gradient_stays_visible(kind: str, broken: float) -> None:
    after, _ = clipped([[1.0, broken]], kind)
    assert not np.isfinite(np.concatenate(after)).all()


def update_of(variant: Variant) -> tuple[GradientUpdate, keras.Model]:
    model = build_model(variant, (4, 4, 1), 5, seed=1)
    return GradientUpdate(variant, model, make_replicas(variant)), model


def gradients_of(model: keras.Model, value: float) -> list[tf.Tensor]:
    return [tf.fill(v.shape, tf.constant(value, v.dtype)) for v in model.trainable_variables]


def apply_step(update: GradientUpdate, gradients: list[tf.Tensor]) -> tuple[int, Any]:
    prepared = update.prepare(gradients)
    return int(update.apply(prepared.gradients, prepared.finite)), prepared


@pytest.mark.parametrize("broken", [math.inf, -math.inf, math.nan])
def test_a_non_finite_gradient_skips_the_step_and_halves_the_scale(broken: float) -> None:
    update, model = update_of(small(precision="mixed_float16", optimizer="adam", clip="norm"))
    apply_step(update, gradients_of(model, 64.0))
    before = snapshot([*model.variables, *update.optimizer.variables])
    gradients = gradients_of(model, 64.0)
    gradients[2] = tf.tensor_scatter_nd_update(gradients[2], [[0, 0]], [broken])
    skipped, prepared = apply_step(update, gradients)
    assert (skipped, int(prepared.clipped)) == (1, 0)
    after = snapshot([*model.variables, *update.optimizer.variables])
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert update.loss_scale is not None
    assert float(update.loss_scale.scale) == LossScale.INITIAL / 2
    assert int(update.loss_scale.finite_steps) == 0


@pytest.mark.parametrize("broken", [math.inf, math.nan])
def test_without_loss_scaling_a_step_is_skipped_if_the_variant_says_so(broken: float) -> None:
    update, model = update_of(small(non_finite="skip", optimizer="adam", clip="value"))
    assert apply_step(update, gradients_of(model, 64.0))[0] == 0
    before = snapshot([*model.variables, *update.optimizer.variables])
    gradients = gradients_of(model, 64.0)
    gradients[-1] = tf.fill(gradients[-1].shape, broken)
    skipped, prepared = apply_step(update, gradients)
    assert (skipped, int(prepared.clipped)) == (1, 0)
    for old, new in zip(
        before, snapshot([*model.variables, *update.optimizer.variables]), strict=True
    ):
        np.testing.assert_array_equal(old, new)
    assert update.settings()["skips_non_finite"]
    assert float(update.loss_factor()) == 1.0


def test_a_finite_gradient_is_unscaled_before_it_is_clipped() -> None:
    update, model = update_of(
        small(precision="mixed_float16", clip="value", clip_threshold=0.5, learning_rate=0.1)
    )
    before = [v.numpy() for v in model.trainable_variables]
    scale = float(update.loss_factor())
    skipped, prepared = apply_step(update, gradients_of(model, 0.25 * scale))
    assert (skipped, int(prepared.clipped)) == (0, 0)
    for old, variable in zip(before, model.trainable_variables, strict=True):
        np.testing.assert_allclose(variable.numpy(), old - 0.1 * 0.25, rtol=1e-6, atol=1e-7)


def test_the_scale_doubles_after_enough_finite_steps_and_the_count_restarts() -> None:
    scale = LossScale()
    scale.finite_steps.assign(LossScale.GROWTH_STEPS - 2)
    scale.adapt(tf.constant(True))
    assert float(scale.scale) == LossScale.INITIAL
    scale.adapt(tf.constant(True))
    assert (float(scale.scale), int(scale.finite_steps)) == (2 * LossScale.INITIAL, 0)


def test_an_overflow_resets_the_count() -> None:
    scale = LossScale()
    scale.finite_steps.assign(LossScale.GROWTH_STEPS - 1)
    scale.adapt(tf.constant(False))
    assert (float(scale.scale), int(scale.finite_steps)) == (LossScale.INITIAL / 2, 0)


@FEW
@given(st.lists(st.booleans(), max_size=60))
def test_the_scale_stays_a_power_of_two_of_at_least_one(steps: list[bool]) -> None:
    scale = LossScale()
    for finite in steps:
        scale.adapt(tf.constant(finite))
    exponent = math.log2(float(scale.scale))
    assert exponent == int(exponent) >= 0


def test_by_default_no_step_is_skipped_without_loss_scaling() -> None:
    update, model = update_of(small())
    assert update.loss_scale is None
    assert float(update.loss_factor()) == 1.0
    skipped, _ = apply_step(update, gradients_of(model, math.nan))
    assert skipped == 0
    assert np.isnan(model.trainable_variables[0].numpy()).all()


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_optimizer_updates_like_keras(name: str) -> None:
    update, model = update_of(small(optimizer=name, learning_rate=0.01))
    reference = build_model(small(), (4, 4, 1), 5, seed=1)
    optimizer = OPTIMIZERS[name](0.01)
    for value in (0.3, -0.7, 0.1):
        apply_step(update, gradients_of(model, value))
        optimizer.apply(gradients_of(reference, value), reference.trainable_variables)
    for mine, theirs in zip(model.variables, reference.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-8)


def test_settings_name_the_constants_in_plain_data() -> None:
    settings = update_of(small(optimizer="nesterov"))[0].settings()
    assert settings["loss_scaling"] is False
    assert settings["optimizer_config"]["momentum"] == 0.9
    assert settings["optimizer_config"]["nesterov"] is True
    assert settings["optimizer_config"]["learning_rate"] == pytest.approx(0.05)


def test_keras_does_not_sum_over_replicas_again() -> None:
    # Private in Keras: if it were renamed, summed gradients would be summed again.
    for name in OPTIMIZERS:
        update, model = update_of(small(optimizer=name))
        assert callable(type(update.optimizer)._all_reduce_sum_gradients)
        gradients = gradients_of(model, 0.5)
        sums: list[Any] = []
        replacement = update.optimizer._all_reduce_sum_gradients

        def record(pairs: Any, replacement: Any = replacement, sums: list[Any] = sums) -> Any:
            sums.append(replacement(pairs))
            return sums[-1]

        update.optimizer._all_reduce_sum_gradients = record
        apply_step(update, gradients)
        (pairs,) = sums
        for (unsummed, _), gradient in zip(pairs, gradients, strict=True):
            assert unsummed is gradient or (unsummed.numpy() == gradient.numpy()).all()
