"""What is taken of a batch is what Keras's own layers give, run one after another."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bench.training.data.examples import to_unit_range
from bench.training.layer_health.layer_info import list_layers
from bench.training.layer_health.layer_stats import BatchStats, LayerStats, combine_batches
from tests.support.training_setup import Made, arrays_of, make_program, small

BATCHES, SIZE = 3, 20
SCALE = 8.0


def batches_of(dtype: str) -> list[tuple[Any, Any]]:
    arrays = arrays_of(small())
    images = to_unit_range(tf.constant(arrays.train_images[: BATCHES * SIZE]), dtype)
    labels = tf.constant(arrays.train_labels[: BATCHES * SIZE], tf.int64)
    parts = [slice(i * SIZE, (i + 1) * SIZE) for i in range(BATCHES)]
    return [(images[part], labels[part]) for part in parts]


def looked_at(made: Made, batches: list[tuple[Any, Any]], scale: float = 1.0) -> list[BatchStats]:
    vitals = LayerStats(made.model, list_layers(made.model))
    trained = [tf.convert_to_tensor(v.value) for v in made.model.trainable_variables]
    kept = [tf.convert_to_tensor(v.value) for v in made.model.non_trainable_variables]
    return [vitals(trained, kept, tf.constant(scale), *batch) for batch in batches]


def by_hand(made: Made, images: Any, labels: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Outputs of each layer, gradients of each example's loss by them, and by the weights."""
    with tf.GradientTape(persistent=True) as tape:
        outputs, x = [], images
        tape.watch(x)
        for layer in made.model.layers[1:]:
            x = layer(x, training=True)
            outputs.append(x)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, x)
        total, mean = tf.reduce_sum(losses), tf.reduce_mean(losses)
    weights = [v.value for v in made.model.trainable_variables]
    return outputs, tape.gradient(total, outputs), tape.gradient(mean, weights)


@pytest.mark.parametrize(
    "asked",
    [
        {"norm": "bn_post", "activation": "sigmoid"},
        {"norm": "bn_pre", "workload": "convnet"},
        {"activation": "prelu", "norm": "layer"},
        {"inputs": "standardized", "activation": "selu"},
    ],
    ids=str,
)
def test_moments_and_gradients_are_those_of_all_batches_at_once(asked: dict[str, Any]) -> None:
    made = make_program(small(**asked, precision="float64"))
    batches = batches_of("float64")
    found = combine_batches(looked_at(made, batches, SCALE))
    outputs, by_output, by_weight = zip(*(by_hand(made, *b) for b in batches), strict=True)
    for i, moments in enumerate(found.moments):
        values = np.concatenate([o[i] for o in outputs])
        gradients = np.concatenate([g[i] for g in by_output])
        expected = [values.mean(), values.var(), gradients.mean(), gradients.var()]
        np.testing.assert_allclose(moments, expected, rtol=1e-9, atol=1e-15)
    for i, gradient in enumerate(found.gradients):
        expected_gradient = np.mean([g[i] for g in by_weight], axis=0)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-9, atol=1e-15)


def test_batch_norms_input_is_what_stands_before_it() -> None:
    made = make_program(small(norm="bn_post", precision="float64"))
    batches = batches_of("float64")
    found = combine_batches(looked_at(made, batches))
    outputs = [by_hand(made, *batch)[0] for batch in batches]
    normed = [i for i, part in enumerate(list_layers(made.model)) if part.is_batch_norm]
    assert len(found.channels) == len(normed) == 3
    for place, channels in zip(normed, found.channels, strict=True):
        values = np.concatenate([o[place - 1] for o in outputs])
        np.testing.assert_allclose(channels[:, 0], values.mean(axis=0), rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(channels[:, 1], values.var(axis=0), rtol=1e-9, atol=1e-15)


def test_a_unit_is_alive_if_it_is_so_in_any_batch() -> None:
    made = make_program(small(hidden=[4], precision="float64"))
    kernel, bias = made.model.trainable_variables[:2]
    kernel.assign(np.zeros(kernel.shape))
    kernel.assign(np.eye(16, 4))
    bias.assign([0.0, 0.0, 0.0, -2.0])
    images = np.zeros((2, 4, 4, 4, 1))
    images[0, 0, 0, 0] = 1.0  # unit 0, of one example of the first batch
    images[1, 3, 0, 1] = 1.0  # unit 1, of one of the second
    images[:, :, 0, 3] = 1.0  # unit 3 stays below 0
    labels = tf.zeros(4, tf.int64)
    batches = [(tf.constant(part), labels) for part in images]
    assert combine_batches(looked_at(made, batches)).dead == (0.5,)


def test_a_constant_output_has_no_variance_at_all() -> None:
    made = make_program(small(initializer="zeros"))
    found = combine_batches(looked_at(made, batches_of("float32")))
    assert found.moments[1:-1, 1].tolist() == [0.0] * (len(found.moments) - 2)


def test_what_float32_could_not_square_is_told_in_full() -> None:
    made = make_program(small(activation="linear"))
    for variable in made.model.trainable_variables:
        if len(variable.shape) == 2:
            variable.assign(variable.numpy() * 1e12)
    found = combine_batches(looked_at(made, batches_of("float32")))
    variances = found.moments[:, 1]
    assert np.isfinite(variances).all()
    assert variances[-1] > 1e60
