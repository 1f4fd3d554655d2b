"""List the layers of a network in order, with the faults that each can develop.

Usage:
    for info in list_layers(model):
        info.kind, info.depth, info.bounds      # "activation", 3, (0.0, 1.0)

A unit is *saturated* for an example if a bounded activation is near an end of its range. Its
derivative is almost zero there, and so is every gradient that passes through it (X. Glorot, Y.
Bengio, AISTATS 2010; A. Rakitianskaia, A. Engelbrecht, IEEE SSCI 2015). Near means within 1 % of
the range: the derivative of sigmoid and of tanh is then below 4 % of its maximum. A unit is *dead*
if relu returns 0 for every example, so that no gradient changes its weights any more (L. Lu et
al., arXiv 1903.06733). Activations without two bounds count as unable to saturate, and those with
output below 0 as unable to die; a learned slope (prelu) can revive a unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

_Layer = Any

BOUNDS: dict[str, tuple[float, float]] = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
}
"""The range of each activation that has two bounds, by its name in Keras."""
NEAR = 0.01
"""The fraction of the range next to each bound that counts as saturated."""
DYING = frozenset({"relu"})

_PRODUCTS = (keras.layers.Dense, keras.layers.Conv2D)
_KINDS: dict[str, str] = {
    "Dense": "dense",
    "Conv2D": "convolution",
    "BatchNormalization": "batch_norm",
    "FusedBatchNormalization": "batch_norm",
    "LayerNormalization": "layer_norm",
    "ImageLayerNormalization": "layer_norm",
    "GroupNormalization": "group_norm",
    "Activation": "activation",
    "ReLU": "activation",
    "LeakyReLU": "activation",
    "PReLU": "activation",
    "Flatten": "flatten",
    "MaxPooling2D": "pool",
    "AveragePooling2D": "pool",
    "GlobalAveragePooling2D": "pool",
    "Add": "add",
    "Normalization": "standardization",
}


@dataclass(frozen=True)
class LayerInfo:
    """A layer, its position in the network, and the faults that it can develop."""

    layer: _Layer
    kind: str
    depth: int
    """Number of dense and convolution layers up to and including this one."""
    bounds: tuple[float, float] | None
    """The range of its output if it can saturate."""
    can_die: bool
    is_batch_norm: bool


def list_layers(model: keras.Model) -> tuple[LayerInfo, ...]:
    """Return all layers of ``model`` except its input, in its order."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    return tuple(_info(layer, layers[: i + 1]) for i, layer in enumerate(layers))


def _info(layer: _Layer, so_far: Sequence[_Layer]) -> LayerInfo:
    function = _function(layer)
    return LayerInfo(
        layer=layer,
        kind=_KINDS.get(type(layer).__name__, type(layer).__name__.lower()),
        depth=sum(isinstance(each, _PRODUCTS) for each in so_far),
        bounds=BOUNDS.get(function),
        can_die=function in DYING,
        is_batch_norm=isinstance(layer, keras.layers.BatchNormalization),
    )


def _function(layer: _Layer) -> str:
    """Return the name in Keras of an activation layer's function; "" for other layers."""
    if isinstance(layer, keras.layers.Activation):
        return str(layer.activation.__name__)
    return "relu" if type(layer) is keras.layers.ReLU else ""
