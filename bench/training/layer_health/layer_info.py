"""Which layers a network has, in order, and what can ail each of them.

Usage:
    for part in layers_of(model):
        part.kind, part.depth, part.bounds      # "activation", 3, (0.0, 1.0)

A unit is *saturated* for an example where a bounded activation is near an end of its range: its
derivative is next to nothing there, and so is every gradient behind it (X. Glorot, Y. Bengio,
AISTATS 2010; A. Rakitianskaia, A. Engelbrecht, IEEE SSCI 2015). Near is within 1 % of the
range: the derivative of sigmoid and of tanh is then below 4 % of its largest. A unit is *dead*
where relu gives 0 for every example, so that no gradient changes its weights any more (L. Lu et
al., arXiv 1903.06733). Activations without two bounds do not saturate here, those that let
something through below 0 do not die, a slope that is learnt (prelu) can revive.
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
"""The range of each activation that has two bounds, by Keras's name of it."""
NEAR = 0.01
"""The part of the range next to each bound that counts as saturated."""
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
    """A layer in its place."""

    layer: _Layer
    kind: str
    depth: int
    """Products up to it and with it."""
    bounds: tuple[float, float] | None
    """Of its output, where it saturates."""
    dies: bool
    is_batch_norm: bool


def layers_of(model: keras.Model) -> tuple[LayerInfo, ...]:
    """All layers of ``model`` but its input, in its own order."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    return tuple(_part(layer, layers[: i + 1]) for i, layer in enumerate(layers))


def _part(layer: _Layer, so_far: Sequence[_Layer]) -> LayerInfo:
    function = _function(layer)
    return LayerInfo(
        layer=layer,
        kind=_KINDS.get(type(layer).__name__, type(layer).__name__.lower()),
        depth=sum(isinstance(one, _PRODUCTS) for one in so_far),
        bounds=BOUNDS.get(function),
        dies=function in DYING,
        is_batch_norm=isinstance(layer, keras.layers.BatchNormalization),
    )


def _function(layer: _Layer) -> str:
    """Keras's name of the function that an activation's layer applies; "" for other layers."""
    if isinstance(layer, keras.layers.Activation):
        return str(layer.activation.__name__)
    return "relu" if type(layer) is keras.layers.ReLU else ""
