"""The statistics of a batch match those of Keras's layers, run one after another."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bench.training.data.examples import to_unit_range
from bench.training.layer_health.layer_info import list_layers
from bench.training.layer_health.layer_stats import BatchStats, LayerStats, combine_batches
from tests.support.training_setup import TrainingSetup, arrays_of, make_program, small

BATCHES, SIZE = 3, 20
SCALE = 8.0


def batches_of(dtype: str) -> list[tuple[Any, Any]]:
    arrays = arrays_of(small())
    images = to_unit_range(tf.constant(arrays.train_images[: BATCHES * SIZE]), dtype)
    labels = tf.constant(arrays.train_labels[: BATCHES * SIZE], tf.int64)
    parts = [slice(i * SIZE, (i + 1) * SIZE) for i in range(BATCHES)]
    return [(images[part], labels[part]) for part in parts]


def stats_of(
    setup: TrainingSetup, batches: list[tuple[Any, Any]], scale: float = 1.0
) -> list[BatchStats]:
    layer_stats = LayerStats(setup.model, list_layers(setup.model))
    weights = [tf.convert_to_tensor(v.value) for v in setup.model.trainable_variables]
    state = [tf.convert_to_tensor(v.value) for v in setup.model.non_trainable_variables]
    return [layer_stats(weights, state, tf.constant(scale), *batch) for batch in batches]


def by_hand(
    setup: TrainingSetup, images: Any, labels: Any
) -> tuple[list[Any], list[Any], list[Any]]:
    """Return each layer's outputs, gradients of each example's loss by them, and by the weights."""
    with tf.GradientTape(persistent=True) as tape:
        outputs, x = [], images
        tape.watch(x)
        for layer in setup.model.layers[1:]:
            x = layer(x, training=True)
            outputs.append(x)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, x)
        total, mean = tf.reduce_sum(losses), tf.reduce_mean(losses)
    weights = [v.value for v in setup.model.trainable_variables]
    return outputs, tape.gradient(total, outputs), tape.gradient(mean, weights)


@pytest.mark.parametrize(
    "axes",
    [
        {"norm": "bn_post", "activation": "sigmoid"},
        {"norm": "bn_pre", "workload": "convnet"},
        {"activation": "prelu", "norm": "layer"},
        {"inputs": "standardized", "activation": "selu"},
    ],
    ids=str,
)
def test_moments_and_gradients_match_those_of_all_batches_together(axes: dict[str, Any]) -> None:
    setup = make_program(small(**axes, precision="float64"))
    batches = batches_of("float64")
    stats = combine_batches(stats_of(setup, batches, SCALE))
    outputs, by_output, by_weight = zip(*(by_hand(setup, *b) for b in batches), strict=True)
    for i, moments in enumerate(stats.moments):
        values = np.concatenate([o[i] for o in outputs])
        gradients = np.concatenate([g[i] for g in by_output])
        expected = [values.mean(), values.var(), gradients.mean(), gradients.var()]
        np.testing.assert_allclose(moments, expected, rtol=1e-9, atol=1e-15)
    for i, gradient in enumerate(stats.gradients):
        expected_gradient = np.mean([g[i] for g in by_weight], axis=0)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-9, atol=1e-15)


def test_batch_norms_input_is_the_output_of_the_layer_before() -> None:
    setup = make_program(small(norm="bn_post", precision="float64"))
    batches = batches_of("float64")
    stats = combine_batches(stats_of(setup, batches))
    outputs = [by_hand(setup, *batch)[0] for batch in batches]
    norms = [i for i, part in enumerate(list_layers(setup.model)) if part.is_batch_norm]
    assert len(stats.channels) == len(norms) == 3
    for place, channels in zip(norms, stats.channels, strict=True):
        values = np.concatenate([o[place - 1] for o in outputs])
        np.testing.assert_allclose(channels[:, 0], values.mean(axis=0), rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(channels[:, 1], values.var(axis=0), rtol=1e-9, atol=1e-15)


def test_a_unit_is_alive_if_it_is_alive_in_any_batch() -> None:
    setup = make_program(small(hidden=[4], precision="float64"))
    kernel, bias = setup.model.trainable_variables[:2]
    kernel.assign(np.zeros(kernel.shape))
    kernel.assign(np.eye(16, 4))
    bias.assign([0.0, 0.0, 0.0, -2.0])
    images = np.zeros((2, 4, 4, 4, 1))
    images[0, 0, 0, 0] = 1.0  # unit 0, in one example of the first batch
    images[1, 3, 0, 1] = 1.0  # unit 1, in one example of the second
    images[:, :, 0, 3] = 1.0  # unit 3 stays below 0
    labels = tf.zeros(4, tf.int64)
    batches = [(tf.constant(part), labels) for part in images]
    assert combine_batches(stats_of(setup, batches)).dead == (0.5,)


def test_a_constant_output_has_variance_zero() -> None:
    setup = make_program(small(initializer="zeros"))
    stats = combine_batches(stats_of(setup, batches_of("float32")))
    assert stats.moments[1:-1, 1].tolist() == [0.0] * (len(stats.moments) - 2)


def test_values_too_large_to_square_in_float32_are_exact() -> None:
    setup = make_program(small(activation="linear"))
    for variable in setup.model.trainable_variables:
        if len(variable.shape) == 2:
            variable.assign(variable.numpy() * 1e12)
    stats = combine_batches(stats_of(setup, batches_of("float32")))
    variances = stats.moments[:, 1]
    assert np.isfinite(variances).all()
    assert variances[-1] > 1e60
