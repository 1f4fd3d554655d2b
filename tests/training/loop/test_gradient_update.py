"""An update clips, skips steps and applies the optimizer as its variant says."""

import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from bench.spec.variant import Variant
from bench.training.device_strategy import make_replicas
from bench.training.loop.gradient_update import OPTIMIZERS, GradientUpdate
from bench.training.loop.loss_scale import LossScale
from bench.training.model.models import build_model
from tests.support.training_setup import small, snapshot


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
