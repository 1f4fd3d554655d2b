"""The fused operation matches Keras's outputs, gradients, averages and trained weights."""

from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.training.loop.training_state import weights_l2
from bench.training.model.fused_batch_norm import FusedBatchNormalization
from bench.training.model.layers import Layers
from bench.training.model.models import build_model, count_parameters, norm_settings
from tests.support.training_setup import FEW, make_program, small

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
SPACING = {"float32": 2.0**-23, "mixed_bfloat16": 2.0**-7, "mixed_float16": 2.0**-10}
"""The gap between 1 and the next number in the dtype of a policy."""
TOLERANCE = {"float32": 1e-6, "mixed_bfloat16": 5e-4, "mixed_float16": 5e-4}
"""Largest relative error of a tensor after ten steps."""

_Tensor = Any


class Pass(NamedTuple):
    """The results of a pass forwards and backwards, as float64 arrays."""

    outputs: np.ndarray
    averages: list[np.ndarray]
    gradients: list[np.ndarray]
    """By the inputs, gamma and beta."""


def run_pass(layer: Any, inputs: np.ndarray, values: list[np.ndarray], jit: bool = False) -> Pass:
    """Run ``layer`` in training, with ``values`` for its four variables."""
    layer.build(inputs.shape)
    sign = tf.constant(np.cos(np.arange(inputs.size)).reshape(inputs.shape), tf.float32)

    def run(x: _Tensor, weights: list[_Tensor], state: list[_Tensor]) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([x, *weights])
            outputs, after = layer.stateless_call(weights, state, x, training=True)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * sign)
        return outputs, after, tape.gradient(loss, [x, *weights])

    x = tf.cast(inputs, layer.compute_dtype)
    tensors = [tf.constant(value, tf.float32) for value in values]
    compiled = tf.function(run, autograph=False, jit_compile=jit)
    outputs, averages, gradients = compiled(x, tensors[:2], tensors[2:])
    wide = [[tf.cast(t, tf.float64).numpy() for t in ts] for ts in (averages, gradients)]
    return Pass(tf.cast(outputs, tf.float64).numpy(), *wide)


def values_for(channels: int, seed: int) -> list[np.ndarray]:
    """Return values of gamma, beta, moving mean and moving variance."""
    rng = np.random.default_rng(seed)
    gamma, beta, mean = rng.normal([[1.0], [0.0], [0.5]], 0.3, (3, channels))
    return [gamma, beta, mean, rng.uniform(0.5, 2.0, channels)]


def assert_equal(ours: Pass, theirs: Pass, policy: str) -> None:
    near = 40 * SPACING[policy]
    np.testing.assert_allclose(ours.outputs, theirs.outputs, atol=near, rtol=near)
    for actual, expected in zip(ours.averages, theirs.averages, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-6, rtol=1e-6)
    for actual, expected in zip(ours.gradients, theirs.gradients, strict=True):
        size = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(actual, expected, atol=near * size)


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).flatmap(
    lambda places: st.integers(1, 6).map(lambda channels: (*places, channels))
)


@FEW
@given(shapes, st.sampled_from(POLICIES), st.integers(0, 2**16))
def test_a_pass_matches_keras(shape: tuple[int, ...], policy: str, seed: int) -> None:
    inputs = np.random.default_rng(seed).normal(0.5, 2.0, shape)
    rows = inputs.reshape(-1, shape[-1])
    # The fused variance is a difference of squares: it keeps no digits if the mean dwarfs it.
    ratios = (1.0 + rows.mean(axis=0) ** 2) / rows.var(axis=0).clip(min=1e-9)
    assume(len(rows) == 1 or ratios.max() < 10.0)
    values = values_for(shape[-1], seed)
    ours, theirs = (
        run_pass(layer(dtype=policy), inputs, values)
        for layer in (FusedBatchNormalization, keras.layers.BatchNormalization)
    )
    assert_equal(ours, theirs, policy)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("shape", [(32, 5), (1, 3), (4, 3, 3, 2)])
def test_a_pass_compiled_by_xla_matches_keras(policy: str, shape: tuple[int, ...]) -> None:
    inputs, values = np.random.default_rng(3).normal(0.5, 2.0, shape), values_for(shape[-1], 3)
    ours, theirs = (
        run_pass(layer(dtype=policy), inputs, values, jit=True)
        for layer in (FusedBatchNormalization, keras.layers.BatchNormalization)
    )
    assert_equal(ours, theirs, policy)


def test_a_single_element_moves_the_average_of_variances_towards_zero() -> None:
    values = values_for(3, seed=5)
    ours = run_pass(FusedBatchNormalization(dtype="float32"), np.ones((1, 3)), values)
    np.testing.assert_allclose(ours.outputs[0], values[1], rtol=1e-6)
    np.testing.assert_allclose(ours.averages[1], values[3] * 0.99, rtol=1e-6)


@pytest.mark.parametrize("frozen", [False, True])
def test_inference_uses_the_moving_averages(frozen: bool) -> None:
    inputs = np.random.default_rng(7).normal(size=(8, 3)).astype(np.float32)
    layers = FusedBatchNormalization(), keras.layers.BatchNormalization()
    for layer in layers:
        layer.build(inputs.shape)
        layer.set_weights(values_for(3, seed=7))
        layer.trainable = not frozen
    ours, theirs = (np.asarray(layer(inputs, training=frozen)) for layer in layers)
    np.testing.assert_array_equal(ours, theirs)
    assert np.abs(ours.mean(axis=0)).min() > 1e-3


def test_a_mask_or_an_unknown_dimension_is_rejected() -> None:
    def call(x: _Tensor, **mask: _Tensor) -> _Tensor:
        return FusedBatchNormalization()(x, training=True, **mask)

    with pytest.raises(ValueError, match="mask"):
        call(tf.ones((2, 4, 3)), mask=tf.ones((2, 4), tf.bool))
    with pytest.raises(ValueError, match="fixed shape"):
        tf.function(call, [tf.TensorSpec((None, 3))], autograph=False)(tf.ones((2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("workload", ["mlp", "convnet", "resnet50"])
@pytest.mark.parametrize("norm", ["bn_post", "bn_pre"])
def test_a_model_has_the_same_variables_in_the_same_order(workload: str, norm: str) -> None:
    fused, plain = (
        build_model(small(workload=workload, norm=norm, batch_norm=name), (32, 32, 1), 5, seed=1)
        for name in ("fused", "keras")
    )
    assert norm_settings(fused) == {**norm_settings(plain), "batch_norm": "fused"}
    assert count_parameters(fused) == count_parameters(plain)
    assert weights_l2(fused.trainable_variables) == weights_l2(plain.trainable_variables)
    for ours, theirs in zip(fused.variables, plain.variables, strict=True):
        assert (ours.name, ours.dtype) == (theirs.name, theirs.dtype)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.slow
@pytest.mark.parametrize("precision", POLICIES)
@pytest.mark.parametrize(
    "axes",
    [
        {"jit": "none"},
        {"jit": "step", "norm": "bn_pre"},
        {"jit": "epoch", "optimizer": "momentum"},
        {"jit": "none", "workload": "convnet", "norm": "bn_pre"},
        {"jit": "none", "global_batch_size": 1},
    ],
    ids=str,
)
def test_ten_steps_end_with_the_same_weights_and_averages(
    axes: dict[str, Any], precision: str
) -> None:
    settings = {"norm": "bn_post", "learning_rate": 0.005, "max_steps": 10, **axes}
    fused, plain = (
        make_program(small(precision=precision, batch_norm=name, **settings))
        for name in ("fused", "keras")
    )
    ours, theirs = fused.program.run_epoch(0), plain.program.run_epoch(0)
    assert ours.steps == theirs.steps == 10
    assert ours.loss == pytest.approx(theirs.loss, rel=10 * TOLERANCE[precision])
    for actual, expected in zip(fused.model.variables, plain.model.variables, strict=True):
        actual, expected = actual.numpy(), expected.numpy()
        size = max(1.0, float(np.abs(expected).max()))
        assert np.abs(actual - expected).max() <= TOLERANCE[precision] * size


def test_a_layer_is_one_operation_forwards_and_one_backwards() -> None:
    setup = make_program(small(norm="bn_post", batch_norm="fused", jit="none"))
    passes = setup.program.step.passes_of_replica((4, 4, 1))
    types = [operation.type for operation in passes.graph.get_operations()]
    assert types.count("FusedBatchNormV3") == types.count("FusedBatchNormGradV3") == 3


def test_a_norm_in_a_user_network_is_fused_if_the_variant_says_so() -> None:
    inputs = keras.Input((4,))
    for name, kind in (
        ("fused", FusedBatchNormalization),
        ("keras", keras.layers.BatchNormalization),
    ):
        layers = Layers(small(norm="bn_pre", batch_norm=name), seed=1)
        model = keras.Model(inputs, layers.normed(inputs))
        assert type(model.layers[-1]) is kind
