"""The previewed step is the one that training would take, and changes nothing."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bench.training.layer_health.optimizer_preview import preview_update
from bench.training.loop.gradient_update import OPTIMIZERS
from tests.support.training_setup import make_program, small, snapshot


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("epochs", [0, 1])
def test_it_is_the_optimizers_next_step_from_its_current_state(name: str, epochs: int) -> None:
    variant = small(optimizer=name, examples=96, jit="none", precision="float64")
    setup = make_program(variant)
    for epoch in range(epochs):
        setup.program.run_epoch(epoch)
    variables = setup.model.trainable_variables
    rng = np.random.default_rng(1)
    gradients = [tf.constant(rng.normal(size=v.shape)) for v in variables]
    before = snapshot(setup.state)
    weights = [tf.convert_to_tensor(v.value) for v in variables]
    changes = preview_update(variant, setup.update.optimizer, weights, gradients, setup.replicas)
    for old, new in zip(before, snapshot(setup.state), strict=True):
        np.testing.assert_array_equal(old, new)
    setup.update.apply(gradients, tf.constant(True))
    for change, weight, v in zip(changes, weights, variables, strict=True):
        np.testing.assert_allclose(change, v.numpy() - weight.numpy(), rtol=1e-9, atol=1e-15)
        assert np.abs(change).max() > 0


def test_the_weights_dtype_is_kept() -> None:
    variant = small(precision="mixed_float16")
    setup = make_program(variant)
    weights = [tf.convert_to_tensor(v.value) for v in setup.model.trainable_variables]
    gradients: list[Any] = [tf.ones_like(w) for w in weights]
    changes = preview_update(variant, setup.update.optimizer, weights, gradients, setup.replicas)
    assert {change.dtype.name for change in changes} == {"float32"}
