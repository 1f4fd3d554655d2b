"""The arithmetic of a network's size agrees with the network that is built."""

import math
from typing import Any

import keras
import pytest

from bench.execution.estimation.model_size import model_size
from bench.spec.defaults import fill_defaults
from bench.spec.variant import Variant
from bench.training.model.models import build_model


@pytest.mark.usefixtures("configured_tensorflow")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"hidden": []},
        {"hidden": [20], "depth": 3},
        {"dataset": "synthetic", "shape": [5, 7, 3], "classes": 4},
        {"workload": "convnet"},
        {"workload": "convnet", "filters": [4, 8, 3], "dataset": "synthetic", "shape": [9, 7, 3]},
    ],
)
def test_counts_agree_with_the_model(settings: dict[str, Any]) -> None:
    variant = Variant.model_validate(fill_defaults(settings))
    synthetic = variant.dataset == "synthetic"
    shape = variant.shape if synthetic else (28, 28, 1)
    model = build_model(variant, shape, variant.classes if synthetic else 10, seed=1)
    layers = [n for n in model.layers if isinstance(n, keras.layers.Conv2D | keras.layers.Dense)]
    outputs = [math.prod(layer.output.shape[1:]) for layer in layers]
    kernels = [math.prod(layer.kernel.shape) for layer in layers]
    positions = [math.prod(layer.output.shape[1:-1]) for layer in layers]
    size = model_size(variant)
    assert size.pixels == math.prod(shape)
    assert size.products == sum(k * p for k, p in zip(kernels, positions, strict=True))
    assert size.parameters == sum(kernels)
    assert (size.outputs, size.largest_output) == (sum(outputs), max(outputs))
    assert size.layers == len(layers)
