"""ResNet-50 has the published sizes and the right norms, and all of its layers learn."""

import math
from typing import Any

import keras
import numpy as np
import pytest

from bench.execution.estimation.model_size import model_size
from bench.training.model.models import build_model, count_parameters, norm_settings
from tests.support.training_setup import small, train_fresh

IMAGENET, SMALL = (224, 224, 3), (32, 32, 3)
NORMS = ("bn_post", "bn_pre", "layer", "group")
_NORM_LAYERS = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
)


def resnet(shape: tuple[int, int, int] = SMALL, classes: int = 5, **axes: Any) -> keras.Model:
    return build_model(small(workload="resnet50", **axes), shape, classes, seed=1)


def test_it_has_the_published_parameters_and_multiplications() -> None:
    model = resnet(IMAGENET, 1000, norm="bn_pre")
    # torchvision's numbers, plus two moving averages for each of 26,560 channels.
    assert count_parameters(model) == (25_557_032 + 2 * 26_560, 25_557_032)
    products = [n for n in model.layers if isinstance(n, keras.layers.Conv2D | keras.layers.Dense)]
    multiplications = sum(
        math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1]) for layer in products
    )
    outputs = [math.prod(layer.output.shape[1:]) for layer in products]
    size = model_size(
        small(workload="resnet50", dataset="synthetic", shape=list(IMAGENET), classes=1000)
    )
    assert size.products == pytest.approx(multiplications, rel=1e-3)
    assert size.parameters == pytest.approx(25_557_032, rel=0.01)
    assert size.outputs == pytest.approx(sum(outputs), rel=0.01)
    assert (size.largest_output, size.layers) == (max(outputs), len(products))
    heights = [n.output.shape[1] for n in model.layers if isinstance(n, keras.layers.Add)]
    assert heights == [56] * 3 + [28] * 4 + [14] * 6 + [7] * 3


@pytest.mark.parametrize("norm", NORMS)
def test_every_convolution_has_its_norm_and_the_input_has_none(norm: str) -> None:
    model = resnet(norm=norm)
    assert norm_settings(model)["norm_layers"] == 53
    convolutions = [n for n in model.layers if isinstance(n, keras.layers.Conv2D)]
    assert len(convolutions) == 53
    assert {layer.use_bias for layer in convolutions} == {norm == "bn_post"}
    assert isinstance(model.layers[1], keras.layers.Conv2D)


@pytest.mark.parametrize(
    ("norm", "layer_before", "count"),
    [("bn_pre", "Conv2D", 53), ("layer", "Conv2D", 53), ("bn_post", "Activation", 49)],
)
def test_only_bn_post_follows_the_activation(norm: str, layer_before: str, count: int) -> None:
    model = resnet(norm=norm)
    norms = [layer for layer in model.layers if isinstance(layer, _NORM_LAYERS)]
    before = [layer.input._keras_history.operation for layer in norms]
    kinds = [type(layer).__name__ for layer in before]
    assert kinds.count(layer_before) == count
    assert kinds.count("Conv2D") + kinds.count("Activation") == 53


def test_without_a_norm_it_has_biases_and_the_same_kernels() -> None:
    plain, normed = resnet(norm="none"), resnet(norm="bn_pre")
    assert norm_settings(plain) == {"norm_layers": 0}
    for mine, other in zip(_kernels(plain), _kernels(normed), strict=True):
        np.testing.assert_array_equal(mine, other)


def _kernels(model: keras.Model) -> list[np.ndarray]:
    products = (n for n in model.layers if isinstance(n, keras.layers.Conv2D | keras.layers.Dense))
    return sorted((n.kernel.numpy() for n in products), key=lambda k: (k.shape, k.sum()))


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["bn_pre", "bn_post"])
def test_a_trial_trains_every_layer(norm: str) -> None:
    variant = small(
        workload="resnet50",
        norm=norm,
        dataset="synthetic",
        shape=list(SMALL),
        classes=5,
        examples=16,
        global_batch_size=8,
        epochs=1,
        jit="none",
        health_epochs=[0],
    )
    record = train_fresh(variant)
    assert (record.status, record.error) == ("completed", None)
    (health,) = record.health
    gradients = [norm for norm in health.gradient_norm if norm is not None]
    assert len(gradients) >= 53
    assert all(norm > 0 for norm in gradients)
