"""Operations and convolutions are counted from a step's graph."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
import tensorflow as tf

from bench.training.loop.flops import flops_of, has_convolutions
from tests.support.training_setup import make_program, small, variant_of


@pytest.mark.parametrize("batch_size", [32, 512])
def test_the_notebooks_step_has_the_products_of_its_layers_and_little_else(batch_size: int) -> None:
    setup = make_program(
        variant_of(dataset="synthetic", examples=1000, global_batch_size=batch_size)
    )
    flops = flops_of(setup.program.step.passes_of_replica((28, 28, 1)))
    first, others = 784 * 300, 300 * 100 + 100 * 10
    # Every layer forwards and for its kernel; all but the first for their inputs.
    products = 2 * batch_size * (2 * (first + others) + others)
    assert flops is not None
    assert products < flops < 1.02 * products


def test_convolutions_are_counted() -> None:
    setup = make_program(small(workload="convnet", hidden=[], filters=[3]))
    flops = flops_of(setup.program.step.passes_of_replica((4, 4, 1)))
    forward = 2 * 32 * (4 * 4 * 9 * 3 + 2 * 2 * 3 * 5)
    assert flops is not None
    assert 2 * forward < flops < 3.5 * forward


@pytest.mark.parametrize(
    ("workload", "convolves"),
    [
        ("mlp", False),
        ("convnet", True),
        ("tests.support.networks:depthwise", True),
        ("tests.support.networks:within_a_model", True),
        ("tests.support.networks:in_a_loop", True),
        ("tests.support.networks:recurrent", False),
    ],
)
def test_convolutions_are_detected(workload: str, convolves: bool) -> None:
    variant = small(workload=workload, hidden=[300, 100], filters=[32, 64], jit="none")
    setup = make_program(variant)
    assert has_convolutions(setup.program.step.passes_of_replica((4, 4, 1))) is convolves


def count(function: Callable[..., Any], *shapes: tuple[int | None, ...]) -> int | None:
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    return flops_of(tf.function(function, autograph=False).get_concrete_function(*specs))


def repeated(x: tf.Tensor) -> tf.Tensor:
    return tf.while_loop(lambda i, _: i < 9, lambda i, y: (i + 1, y @ y), (0, x))[1]


def branched(x: tf.Tensor) -> tf.Tensor:
    return tf.cond(tf.reduce_sum(x) > 0, lambda: x @ x, lambda: x)


def switched(x: tf.Tensor) -> tf.Tensor:
    return tf.switch_case(tf.cast(x[0, 0], tf.int32), [lambda: x @ x, lambda: x])


def called(x: tf.Tensor) -> tf.Tensor:
    return tf.function(lambda y: y @ y, jit_compile=True)(x)


def mapped(x: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(lambda row: row * 2, x)


def in_python(x: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.numpy_function(lambda y: y @ y, [x], tf.float32), (8, 8))


def without_a_formula(x: tf.Tensor) -> tf.Tensor:
    return tf.einsum("ij,jk->ik", x, x)


@pytest.mark.parametrize(
    "hidden",
    [repeated, branched, switched, called, mapped, in_python, without_a_formula, tf.linalg.inv],
)
def test_an_incomplete_count_is_null(hidden: Callable[..., Any]) -> None:
    assert count(lambda x: x @ x, (8, 8)) == 2 * 8**3
    assert count(lambda x: hidden(x) + x @ x, (8, 8)) is None


def test_a_product_of_unknown_size_is_null() -> None:
    assert count(lambda x, y: x @ y + tf.ones((4, 4)) @ tf.ones((4, 4)), (None, 8), (8, 4)) is None


def test_v1_loops_are_null() -> None:
    with tf.Graph().as_default():
        tf.compat.v1.disable_control_flow_v2()
        try:
            wrapped = tf.compat.v1.wrap_function(repeated, [tf.TensorSpec((8, 8), tf.float32)])
        finally:
            tf.compat.v1.enable_control_flow_v2()
    assert flops_of(wrapped) is None


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: keras.layers.LSTM(3)(x),
        lambda x: keras.layers.GRU(3)(x),
        lambda x: keras.layers.SimpleRNN(3)(x),
        lambda x: keras.layers.MultiHeadAttention(2, 3)(x, x),
    ],
    ids=["lstm", "gru", "simple_rnn", "attention"],
)
def test_recurrent_and_attention_layers_are_null(layer: Callable[[Any], Any]) -> None:
    inputs = keras.Input((5, 4), batch_size=2)
    model = keras.Model(inputs, layer(inputs))
    assert count(lambda x: model(x), (2, 5, 4)) is None


@pytest.mark.parametrize("norm", ["none", "bn_post", "bn_pre", "layer", "group"])
@pytest.mark.parametrize("workload", ["mlp", "convnet"])
def test_every_shipped_network_is_counted(workload: str, norm: str) -> None:
    setup = make_program(small(workload=workload, norm=norm, hidden=[64, 64], filters=[16, 32]))
    assert flops_of(setup.program.step.passes_of_replica((4, 4, 1)))
