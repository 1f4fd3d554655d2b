"""The networks, and where each technique stands in them.

Usage:
    model = build_model(variant, shape=(28, 28, 1), classes=10, seed=7)

A hidden layer is a product (dense or convolution), a norm and an activation. ``bn_pre``
puts the norm between the two and drops the product's bias, which the norm's offset replaces;
every other norm stands after the activation. All norms also stand on the input. The last
layer is dense, glorot_uniform, without activation: the loss takes logits.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from bench.spec.variant import Variant
from bench.training.precision import PRECISIONS

_Layer = Any

INITIALIZERS: dict[str, Callable[[int], Any]] = {
    "glorot_normal": lambda seed: keras.initializers.GlorotNormal(seed=seed),
    "glorot_uniform": lambda seed: keras.initializers.GlorotUniform(seed=seed),
    "he_normal": lambda seed: keras.initializers.HeNormal(seed=seed),
    "he_uniform": lambda seed: keras.initializers.HeUniform(seed=seed),
    "lecun_normal": lambda seed: keras.initializers.LecunNormal(seed=seed),
    "lecun_uniform": lambda seed: keras.initializers.LecunUniform(seed=seed),
    "standard_normal": lambda seed: keras.initializers.RandomNormal(0.0, 1.0, seed=seed),
    "zeros": lambda _: keras.initializers.Zeros(),
    "ones": lambda _: keras.initializers.Ones(),
}

_NORMS = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
)

_MAX_GROUPS = 32
"""Group norm's usual number of groups (Wu and He, arXiv 1803.08494)."""


def build_model(
    variant: Variant,
    shape: Sequence[int],
    classes: int,
    seed: int,
    images: np.ndarray | None = None,
) -> keras.Sequential:
    """The network of ``variant`` for examples of ``shape`` (height, width, channels).

    Standardised inputs take their means and deviations from ``images``, bytes (n, *shape).

    Initial weights depend on ``seed`` and on each layer's place among its like alone, so
    that two variants which differ in their norm start from the same dense weights.
    """
    layers = _Layers(variant, seed)
    model = keras.Sequential([keras.Input(tuple(shape), dtype=layers.kind.dtype)])
    if variant.inputs == "standardized" and images is not None:
        model.add(_standardization(images, layers.kind.policy))
    for layer in _WORKLOADS[variant.workload](layers, tuple(shape)):
        model.add(layer)
    model.add(layers.last(classes))
    return model


def _standardization(images: np.ndarray, policy: str) -> _Layer:
    """A layer without weights, for pixels from 0 to 1; 0 where a pixel never varies."""
    mean, deviation = images.mean(axis=0) / 255, images.std(axis=0) / 255
    # Of what varies less than by one level of grey, a single bright pixel would outweigh the rest.
    variance = np.maximum(deviation, 1 / 255) ** 2
    return keras.layers.Normalization(axis=(1, 2, 3), mean=mean, variance=variance, dtype=policy)


def count_parameters(model: keras.Model) -> tuple[int, int]:
    """Number of parameters: all of them, and those that training changes."""
    return _size(model.variables), _size(model.trainable_variables)


def norm_settings(model: keras.Model) -> dict[str, Any]:
    """How many norms stand in ``model``, and the constants that they use."""
    norms = [layer for layer in model.layers if isinstance(layer, _NORMS)]
    keys = ("epsilon", "momentum", "synchronized")
    found = {f"norm_{k}": getattr(norms[0], k) for k in keys if norms and hasattr(norms[0], k)}
    return {"norm_layers": len(norms), **found}


def group_count(channels: int) -> int:
    """The largest number of groups up to 32 that divides ``channels``."""
    return max(g for g in range(1, _MAX_GROUPS + 1) if channels % g == 0)


def _size(variables: Sequence[Any]) -> int:
    return sum(math.prod(v.shape) for v in variables)


def _mlp(layers: "_Layers", shape: tuple[int, ...]) -> Iterator[_Layer]:
    yield layers.flatten()
    yield from layers.norm(math.prod(shape))
    yield from _dense_stack(layers)


def _convnet(layers: "_Layers", shape: tuple[int, ...]) -> Iterator[_Layer]:
    yield from layers.norm(shape[-1])
    for filters in layers.variant.filters:
        yield from layers.hidden(layers.convolution(filters), filters)
        yield layers.pool()
    yield layers.flatten()
    yield from _dense_stack(layers)


def _dense_stack(layers: "_Layers") -> Iterator[_Layer]:
    for width in layers.variant.widths:
        yield from layers.hidden(layers.dense(width), width)


_WORKLOADS: dict[str, Callable[["_Layers", tuple[int, ...]], Iterator[_Layer]]] = {
    "mlp": _mlp,
    "convnet": _convnet,
}


class _Layers:
    """Makes the layers of one model, counting its products to seed each of them apart."""

    def __init__(self, variant: Variant, seed: int) -> None:
        self.variant = variant
        self.kind = PRECISIONS[variant.precision]
        self._seed = seed * 10_007
        self._products = 0

    def dense(self, width: int) -> _Layer:
        return keras.layers.Dense(width, **self._product())

    def convolution(self, filters: int) -> _Layer:
        return keras.layers.Conv2D(filters, 3, padding="same", **self._product())

    def last(self, classes: int) -> _Layer:
        start = keras.initializers.GlorotUniform(seed=self._next_seed())
        return keras.layers.Dense(classes, kernel_initializer=start, dtype=self.kind.dtype)

    def hidden(self, product: _Layer, channels: int) -> Iterator[_Layer]:
        yield product
        if self.variant.norm == "bn_pre":
            yield from self.norm(channels)
        yield self.activation(spatial=isinstance(product, keras.layers.Conv2D))
        if self.variant.norm != "bn_pre":
            yield from self.norm(channels)

    def activation(self, *, spatial: bool) -> _Layer:
        name, policy = self.variant.activation, self.kind.policy
        if name == "leaky_relu":
            return keras.layers.LeakyReLU(dtype=policy)
        if name == "prelu":
            shared = [1, 2] if spatial else None
            return keras.layers.PReLU(shared_axes=shared, dtype=policy)
        return keras.layers.Activation(name, dtype=policy)

    def norm(self, channels: int) -> Iterator[_Layer]:
        kind, policy = self.variant.norm, self.kind.policy
        if kind in ("bn_post", "bn_pre"):
            synchronized = self.variant.synchronized and self.variant.communication == "full"
            yield keras.layers.BatchNormalization(synchronized=synchronized, dtype=policy)
        elif kind == "layer":
            yield keras.layers.LayerNormalization(dtype=policy)
        elif kind == "group":
            yield keras.layers.GroupNormalization(group_count(channels), dtype=policy)

    def flatten(self) -> _Layer:
        return keras.layers.Flatten(dtype=self.kind.policy)

    def pool(self) -> _Layer:
        return keras.layers.MaxPooling2D(padding="same", dtype=self.kind.policy)

    def _product(self) -> dict[str, Any]:
        return {
            "kernel_initializer": INITIALIZERS[self.variant.initializer](self._next_seed()),
            "use_bias": self.variant.norm != "bn_pre",
            "dtype": self.kind.policy,
        }

    def _next_seed(self) -> int:
        self._products += 1
        return self._seed + self._products
