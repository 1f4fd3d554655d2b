"""Layers are named in order, and each activation is known for what can ail it."""

from typing import Any, get_args

import keras
import numpy as np
import pytest

from bench.spec.variant import Activation
from bench.training.layer_health.layer_info import BOUNDS, DYING, NEAR, list_layers
from bench.training.model.models import build_model
from tests.support.training_setup import small

ACTIVATIONS = get_args(Activation)
FAR = np.array([[-1e4, 1e4]], np.float32)


def parts_of(**asked: Any) -> list[tuple[str, int]]:
    variant = small(**asked)
    images = np.zeros((2, 4, 4, 1), np.uint8)
    model = build_model(variant, (4, 4, 1), 5, seed=1, images=images)
    return [(part.kind, part.depth) for part in list_layers(model)]


def test_depth_counts_products_and_what_stands_behind_one_shares_its_depth() -> None:
    assert parts_of(norm="bn_pre") == [
        *(("flatten", 0), ("batch_norm", 0)),
        *(("dense", 1), ("batch_norm", 1), ("activation", 1)),
        *(("dense", 2), ("batch_norm", 2), ("activation", 2)),
        ("dense", 3),
    ]


def test_fused_batch_norm_is_batch_norm() -> None:
    assert parts_of(norm="bn_pre", batch_norm="fused") == parts_of(norm="bn_pre")


def test_a_norm_changes_no_depth() -> None:
    plain = [part for part in parts_of(workload="convnet") if part[0] != "pool"]
    for norm, kind in (("bn_post", "batch_norm"), ("layer", "layer_norm"), ("group", "group_norm")):
        normed = parts_of(workload="convnet", norm=norm)
        assert [part for part in normed if part[0] not in (kind, "pool")] == plain
    assert plain == [
        *(("convolution", 1), ("activation", 1), ("convolution", 2), ("activation", 2)),
        *(("flatten", 2), ("dense", 3), ("activation", 3), ("dense", 4), ("activation", 4)),
        ("dense", 5),
    ]


def test_standardised_inputs_are_a_layer_without_depth() -> None:
    assert parts_of(inputs="standardized")[0] == ("standardization", 0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_what_saturates_and_what_dies_is_told_of_the_layer(name: Activation) -> None:
    model = build_model(small(activation=name), (4, 4, 1), 5, seed=1)
    hidden = [part for part in list_layers(model) if part.kind == "activation"]
    assert len(hidden) == 2
    for part in hidden:
        assert part.bounds == BOUNDS.get(name)
        assert part.can_die == (name in DYING)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_bounds_are_those_of_the_function_and_no_other_has_two(name: Activation) -> None:
    model = build_model(small(activation=name, hidden=[2]), (4, 4, 1), 5, seed=1)
    (part,) = (part for part in list_layers(model) if part.kind == "activation")
    ends = np.asarray(part.layer(FAR))[0]
    if name in BOUNDS:
        assert np.abs(ends - BOUNDS[name]).max() < NEAR / 10
    else:
        assert np.abs(ends).max() > 1e3


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_near_a_bound_the_derivative_is_next_to_nothing(name: Activation) -> None:
    low, high = BOUNDS[name]
    function = keras.activations.get(name)
    x = np.linspace(-10, 10, 20_001)
    y = np.asarray(function(keras.ops.convert_to_tensor(x)))
    slope = np.gradient(y, x)
    near = (y <= low + NEAR * (high - low)) | (y >= high - NEAR * (high - low))
    assert 0.01 < slope[near].max() / slope.max() < 0.04
