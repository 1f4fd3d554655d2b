"""The networks have the right sizes, place each technique correctly, and start as they should."""

import math
from typing import Any

import keras
import numpy as np
import pytest

from bench.training.model.models import build_model, count_parameters, norm_settings
from tests.support.training_setup import small, variant_of

FASHION = (28, 28, 1)


def layer_names(**axes: Any) -> list[str]:
    model = build_model(small(**axes), (4, 4, 1), 5, seed=1)
    names = {"BatchNormalization": "Norm", "LayerNormalization": "Norm"}
    names |= {"GroupNormalization": "Norm", "PReLU": "Activation", "LeakyReLU": "Activation"}
    kinds = [type(layer).__name__ for layer in model.layers[1:]]
    return [names.get(kind, kind) for kind in kinds]


@pytest.mark.parametrize(
    ("axes", "parameters", "non_trainable"),
    [
        ({"activation": "leaky_relu"}, 266_610, 0),
        ({"norm": "bn_post"}, 271_346, 2_368),
        ({"norm": "bn_pre"}, 270_946, 2_368),
        ({"norm": "layer"}, 268_978, 0),
        ({"norm": "group"}, 268_978, 0),
        ({"activation": "prelu"}, 266_610 + 400, 0),
        ({"hidden": []}, 7_850, 0),
    ],
)
def test_notebook_models_have_the_published_parameter_counts(
    axes: dict[str, Any], parameters: int, non_trainable: int
) -> None:
    model = build_model(variant_of(**axes), FASHION, 10, seed=1)
    assert count_parameters(model) == (parameters, parameters - non_trainable)


def test_norms_after_the_activation_are_on_the_input_too() -> None:
    after = ["Flatten", "Norm", *["Dense", "Activation", "Norm"] * 2, "Dense"]
    for norm in ("bn_post", "layer", "group"):
        assert layer_names(norm=norm) == after


def test_a_norm_before_the_activation_replaces_the_bias() -> None:
    before = ["Flatten", "Norm", *["Dense", "Norm", "Activation"] * 2, "Dense"]
    assert layer_names(norm="bn_pre") == before
    model = build_model(small(norm="bn_pre"), (4, 4, 1), 5, seed=1)
    use_bias = [d.use_bias for d in model.layers if isinstance(d, keras.layers.Dense)]
    assert use_bias == [False, False, True]


def test_without_norm_there_is_nothing_between_the_layers() -> None:
    assert layer_names() == ["Flatten", *["Dense", "Activation"] * 2, "Dense"]


def test_convnet_pools_after_each_convolution_and_norms_by_channel() -> None:
    block = ["Conv2D", "Activation", "Norm", "MaxPooling2D"]
    stack = ["Flatten", *["Dense", "Activation", "Norm"] * 2, "Dense"]
    assert layer_names(workload="convnet", norm="bn_post") == ["Norm", *block * 2, *stack]
    model = build_model(small(workload="convnet", norm="bn_pre"), (4, 4, 1), 5, seed=1)
    assert model.layers[1].gamma.shape == (1,)
    assert [layer.gamma.shape for layer in model.layers[2:8] if hasattr(layer, "gamma")] == [
        (3,),
        (5,),
    ]
    assert model(np.zeros((2, 4, 4, 1), np.float32)).shape == (2, 5)


def test_arms_that_differ_in_norm_start_from_the_same_kernels() -> None:
    def kernels(norm: str) -> list[np.ndarray]:
        model = build_model(small(norm=norm), (4, 4, 1), 5, seed=3)
        return [d.kernel.numpy() for d in model.layers if isinstance(d, keras.layers.Dense)]

    plain = kernels("none")
    for norm in ("bn_post", "bn_pre", "layer", "group"):
        for mine, other in zip(plain, kernels(norm), strict=True):
            np.testing.assert_array_equal(mine, other)


def test_each_seed_and_each_layer_starts_differently() -> None:
    def kernels(seed: int) -> list[np.ndarray]:
        model = build_model(small(hidden=[16, 16]), (4, 4, 1), 5, seed)
        return [d.kernel.numpy() for d in model.layers if isinstance(d, keras.layers.Dense)]

    first, second, _ = kernels(1)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, kernels(2)[0])
    np.testing.assert_array_equal(first, kernels(1)[0])


def test_the_initializer_applies_only_to_hidden_layers() -> None:
    model = build_model(small(initializer="zeros"), (4, 4, 1), 5, seed=1)
    *hidden, last = [d.kernel.numpy() for d in model.layers if isinstance(d, keras.layers.Dense)]
    assert all((kernel == 0).all() for kernel in hidden)
    assert np.abs(last).max() <= math.sqrt(6 / (8 + 5))
    assert (last != 0).any()


@pytest.mark.parametrize(
    ("name", "at_minus_one", "at_two"),
    [
        ("relu", 0.0, 2.0),
        ("leaky_relu", -0.3, 2.0),
        ("prelu", 0.0, 2.0),
        ("elu", math.exp(-1) - 1, 2.0),
        ("selu", 1.0507009873554805 * 1.6732632423543772 * (math.exp(-1) - 1), 2.1014019747109610),
        ("gelu", -0.5 * (1 + math.erf(-1 / math.sqrt(2))), 1 + math.erf(2 / math.sqrt(2))),
        ("swish", -1 / (1 + math.e), 2 / (1 + math.exp(-2))),
        ("sigmoid", 1 / (1 + math.e), 1 / (1 + math.exp(-2))),
        ("hard_sigmoid", 1 / 3, 5 / 6),
        ("tanh", math.tanh(-1), math.tanh(2)),
        ("softplus", math.log1p(math.exp(-1)), math.log1p(math.exp(2))),
        ("softsign", -0.5, 2 / 3),
        ("exponential", math.exp(-1), math.exp(2)),
        ("linear", -1.0, 2.0),
    ],
)
def test_activations_match_their_names(name: str, at_minus_one: float, at_two: float) -> None:
    model = build_model(small(activation=name, hidden=[2]), (4, 4, 1), 5, seed=1)
    actual = np.asarray(model.layers[3](np.array([[-1.0, 2.0]], np.float32)))
    np.testing.assert_allclose(actual, [[at_minus_one, at_two]], rtol=1e-5, atol=1e-7)


def test_prelu_learns_a_slope_for_each_unit_or_each_channel() -> None:
    dense = build_model(small(activation="prelu"), (4, 4, 1), 5, seed=1)
    slopes = [p.alpha.shape for p in dense.layers if isinstance(p, keras.layers.PReLU)]
    assert slopes == [(16,), (8,)]
    conv = build_model(small(workload="convnet", activation="prelu"), (4, 4, 1), 5, seed=1)
    slopes = [p.alpha.shape for p in conv.layers if isinstance(p, keras.layers.PReLU)]
    assert slopes == [(1, 1, 3), (1, 1, 5), (16,), (8,)]


def test_group_norm_normalizes_each_example_and_group_separately() -> None:
    model = build_model(small(norm="group", hidden=[]), (4, 4, 4), 5, seed=1)
    batch = np.random.default_rng(1).normal(3.0, 2.0, (6, 64)).astype(np.float32)
    normed = np.asarray(model.layers[2](batch)).reshape(6, 8, 8)
    np.testing.assert_allclose(normed.mean(-1), 0.0, atol=1e-4)
    np.testing.assert_allclose(normed.std(-1), 1.0, atol=0.01)


@pytest.mark.parametrize(
    ("precision", "compute", "weights", "logits"),
    [
        ("float32", "float32", "float32", "float32"),
        ("float32_strict", "float32", "float32", "float32"),
        ("mixed_bfloat16", "bfloat16", "float32", "float32"),
        ("mixed_float16", "float16", "float32", "float32"),
        ("float64", "float64", "float64", "float64"),
    ],
)
@pytest.mark.parametrize("norm", ["bn_pre", "layer", "group"])
def test_precision_sets_the_dtypes_and_keeps_the_last_layer_wide(
    precision: str, compute: str, weights: str, logits: str, norm: str
) -> None:
    variant = small(precision=precision, norm=norm, activation="prelu")
    model = build_model(variant, (4, 4, 1), 5, seed=1)
    assert {layer.compute_dtype for layer in model.layers[1:-1]} == {compute}
    assert {v.dtype for v in model.variables} == {weights}
    batch = np.zeros((2, 4, 4, 1), logits)
    assert model(batch).dtype.name == logits
    assert model.layers[-1].compute_dtype == logits


def test_norm_settings_count_norms_and_name_their_constants() -> None:
    def settings(norm: str) -> dict[str, Any]:
        return norm_settings(build_model(small(norm=norm), (4, 4, 1), 5, seed=1))

    assert settings("none") == {"norm_layers": 0}
    assert settings("bn_post") == {
        "norm_layers": 3,
        "norm_epsilon": 1e-3,
        "norm_momentum": 0.99,
        "norm_synchronized": False,
        "batch_norm": "keras",
    }
    assert settings("layer") == {"norm_layers": 3, "norm_epsilon": 1e-3}


def test_standardized_inputs_have_mean_zero_and_deviation_one_by_pixel() -> None:
    images = np.random.default_rng(3).integers(0, 200, (500, 4, 4, 1)).astype(np.uint8)
    images[:, 0, 0] = 7
    standardized = small(inputs="standardized", precision="float64")
    model = build_model(standardized, (4, 4, 1), 5, seed=1, images=images)
    first = model.layers[1](images / 255).numpy()
    np.testing.assert_allclose(first.mean(axis=0), 0, atol=1e-12)
    expected = np.ones((4, 4, 1))
    expected[0, 0] = 0
    np.testing.assert_allclose(first.std(axis=0), expected, rtol=1e-6)


def test_standardization_has_no_parameters_and_keeps_the_initial_weights() -> None:
    images = np.random.default_rng(3).integers(0, 200, (50, 4, 4, 1)).astype(np.uint8)
    plain, other = (
        build_model(small(inputs=inputs), (4, 4, 1), 5, seed=1, images=images)
        for inputs in ("unit", "standardized")
    )
    assert count_parameters(other) == count_parameters(plain)
    for ours, theirs in zip(plain.variables, other.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_hidden_layers_can_be_repeated() -> None:
    repeated = build_model(small(hidden=[8, 4], depth=3), (4, 4, 1), 5, seed=1)
    listed = build_model(small(hidden=[8, 4, 8, 4, 8, 4]), (4, 4, 1), 5, seed=1)
    for ours, theirs in zip(repeated.variables, listed.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
