"""Build the networks, with each technique in its place.

Usage:
    model = build_model(variant, shape=(28, 28, 1), classes=10, seed=7)

A hidden layer is a product (dense or convolution), a norm and an activation. ``bn_pre`` puts the
norm between the two and drops the product's bias, which the norm's offset replaces. Every other
norm comes after the activation. The input has a norm too. The last layer is dense with
glorot_uniform and no activation: the loss takes logits. ResNet-50 places its norms differently
(``resnet.py``). A user's workload is a function of ``Layers`` and the images, like those below
(``custom_model.py``).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from bench.spec.variant import Variant
from bench.training.model.custom_model import custom_features
from bench.training.model.fused_batch_norm import FusedBatchNormalization
from bench.training.model.layers import Layers
from bench.training.model.resnet import resnet50

_Layer = Any
_Tensor = Any

_NORMS = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
)


def build_model(
    variant: Variant,
    shape: Sequence[int],
    classes: int,
    seed: int,
    images: np.ndarray | None = None,
) -> keras.Model:
    """Build the network of ``variant`` for examples of ``shape`` (height, width, channels).

    Standardized inputs use the means and deviations of ``images``, bytes (n, *shape). Initial
    weights depend only on ``seed`` and on the number of products before a layer, so variants that
    differ in their norm start from the same dense weights.
    """
    layers = Layers(variant, seed)
    inputs = x = keras.Input(tuple(shape), dtype=layers.kind.dtype)
    if variant.inputs == "standardized" and images is not None:
        x = _standardization(images, layers.kind.policy)(x)
    if variant.has_custom_workload:
        features = custom_features(variant.workload, layers, x, classes, seed)
    else:
        features = _WORKLOADS[variant.workload](layers, x)
    return keras.Model(inputs, layers.last(classes)(features))


def _standardization(images: np.ndarray, policy: str) -> _Layer:
    """Return a layer without weights that standardizes pixels in [0, 1]; constant ones become 0."""
    mean, deviation = images.mean(axis=0) / 255, images.std(axis=0) / 255
    # Otherwise a single bright value of a pixel that varies by less than one level of gray would
    # outweigh everything else.
    variance = np.maximum(deviation, 1 / 255) ** 2
    return keras.layers.Normalization(axis=(1, 2, 3), mean=mean, variance=variance, dtype=policy)


def count_parameters(model: keras.Model) -> tuple[int, int]:
    """Return the number of all parameters, and of those that training changes."""
    return _size(model.variables), _size(model.trainable_variables)


def norm_settings(model: keras.Model) -> dict[str, Any]:
    """Return the number of norms in ``model``, their constants, and how batch norm is computed."""
    norms = [layer for layer in model.layers if isinstance(layer, _NORMS)]
    keys = ("epsilon", "momentum", "synchronized")
    settings = {f"norm_{k}": getattr(norms[0], k) for k in keys if norms and hasattr(norms[0], k)}
    batch_norms = [n for n in norms if isinstance(n, keras.layers.BatchNormalization)]
    if batch_norms:
        fused = all(isinstance(n, FusedBatchNormalization) for n in batch_norms)
        settings["batch_norm"] = "fused" if fused else "keras"
    return {"norm_layers": len(norms), **settings}


def _size(variables: Sequence[Any]) -> int:
    return sum(math.prod(v.shape) for v in variables)


def _mlp(layers: Layers, images: _Tensor) -> _Tensor:
    return _dense_stack(layers, layers.normed(layers.flatten()(images)))


def _convnet(layers: Layers, images: _Tensor) -> _Tensor:
    x = layers.normed(images)
    for filters in layers.variant.filters:
        x = layers.pool()(layers.hidden(layers.convolution(filters), x))
    return _dense_stack(layers, layers.flatten()(x))


def _dense_stack(layers: Layers, x: _Tensor) -> _Tensor:
    for width in layers.variant.widths:
        x = layers.hidden(layers.dense(width), x)
    return x


_WORKLOADS: dict[str, Callable[[Layers, _Tensor], _Tensor]] = {
    "mlp": _mlp,
    "convnet": _convnet,
    "resnet50": resnet50,
}
"""The layers before the last one, as a function of a batch of images."""
