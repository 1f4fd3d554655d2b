"""Layers are listed in order, with the possible faults of each activation."""

from typing import Any, get_args

import keras
import numpy as np
import pytest

from bench.spec.axis_values import Activation
from bench.training.layer_health.layer_info import BOUNDS, DYING, NEAR, list_layers
from bench.training.model.models import build_model
from tests.support.training_setup import small

ACTIVATIONS = get_args(Activation)
FAR = np.array([[-1e4, 1e4]], np.float32)


def kinds_and_depths(**axes: Any) -> list[tuple[str, int]]:
    variant = small(**axes)
    images = np.zeros((2, 4, 4, 1), np.uint8)
    model = build_model(variant, (4, 4, 1), 5, seed=1, images=images)
    return [(part.kind, part.depth) for part in list_layers(model)]


def test_depth_counts_products_and_the_layers_after_one_share_its_depth() -> None:
    assert kinds_and_depths(norm="bn_pre") == [
        *(("flatten", 0), ("batch_norm", 0)),
        *(("dense", 1), ("batch_norm", 1), ("activation", 1)),
        *(("dense", 2), ("batch_norm", 2), ("activation", 2)),
        ("dense", 3),
    ]


def test_fused_batch_norm_is_batch_norm() -> None:
    assert kinds_and_depths(norm="bn_pre", batch_norm="fused") == kinds_and_depths(norm="bn_pre")


def test_a_norm_changes_no_depth() -> None:
    plain = [part for part in kinds_and_depths(workload="convnet") if part[0] != "pool"]
    for norm, kind in (("bn_post", "batch_norm"), ("layer", "layer_norm"), ("group", "group_norm")):
        normed = kinds_and_depths(workload="convnet", norm=norm)
        assert [part for part in normed if part[0] not in (kind, "pool")] == plain
    assert plain == [
        *(("convolution", 1), ("activation", 1), ("convolution", 2), ("activation", 2)),
        *(("flatten", 2), ("dense", 3), ("activation", 3), ("dense", 4), ("activation", 4)),
        ("dense", 5),
    ]


def test_standardized_inputs_are_a_layer_of_depth_zero() -> None:
    assert kinds_and_depths(inputs="standardized")[0] == ("standardization", 0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_layer_knows_whether_it_can_saturate_or_die(name: Activation) -> None:
    model = build_model(small(activation=name), (4, 4, 1), 5, seed=1)
    hidden = [part for part in list_layers(model) if part.kind == "activation"]
    assert len(hidden) == 2
    for part in hidden:
        assert part.bounds == BOUNDS.get(name)
        assert part.can_die == (name in DYING)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_bounds_are_those_of_the_function_and_other_functions_have_none(name: Activation) -> None:
    model = build_model(small(activation=name, hidden=[2]), (4, 4, 1), 5, seed=1)
    (part,) = (part for part in list_layers(model) if part.kind == "activation")
    ends = np.asarray(part.layer(FAR))[0]
    if name in BOUNDS:
        assert np.abs(ends - BOUNDS[name]).max() < NEAR / 10
    else:
        assert np.abs(ends).max() > 1e3


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_near_a_bound_the_derivative_is_almost_zero(name: Activation) -> None:
    low, high = BOUNDS[name]
    function = keras.activations.get(name)
    x = np.linspace(-10, 10, 20_001)
    y = np.asarray(function(keras.ops.convert_to_tensor(x)))
    slope = np.gradient(y, x)
    near = (y <= low + NEAR * (high - low)) | (y >= high - NEAR * (high - low))
    assert 0.01 < slope[near].max() / slope.max() < 0.04
