"""Create the layers of a network according to a variant's axes.

Usage:
    layers = Layers(variant, seed=7)
    x = layers.flatten()(images)
    x = layers.hidden(layers.dense(100), x)          # product, norm and activation
"""

import math
from collections.abc import Callable
from typing import Any, cast

import keras

from bench.spec.norm_groups import FEWEST_VALUES, group_count
from bench.spec.variant import Variant
from bench.training.exceptions import WorkloadError
from bench.training.model.fused_batch_norm import FusedBatchNormalization
from bench.training.model.precision import PRECISIONS

_Layer = Any
_Tensor = Any

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


# Keras has no types: its classes are Any to mypy.
class ImageLayerNormalization(keras.layers.GroupNormalization):  # type: ignore[misc]
    """Layer norm over rows, columns and channels of an image, with a scale for each channel."""

    def __init__(self, dtype: Any = None) -> None:
        super().__init__(groups=1, dtype=dtype)


class _ReadRecorder:
    """A variant that records which of its settings are read."""

    model_fields = Variant.model_fields

    def __init__(self, variant: Variant) -> None:
        self._variant = variant
        self.read: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(Variant, name, None)
        if isinstance(attribute, property) and attribute.fget:
            return attribute.fget(self)  # the property's own reads are recorded too
        self.read.add(name)
        return getattr(self._variant, name)


class Layers:
    """Creates the layers of one model, and counts its products to give each its own seed.

    A product is a dense layer or a convolution.
    """

    def __init__(self, variant: Variant, seed: int) -> None:
        recorder = _ReadRecorder(variant)
        self.variant = cast(Variant, recorder)
        self.read = recorder.read
        """The settings that the network has been built with so far."""
        self.kind = PRECISIONS[variant.precision]
        first = ("bn_pre", "layer", "group") if variant.workload == "resnet50" else ("bn_pre",)
        self.norm_first = variant.norm in first
        """Whether norms come before the activation, and replace the product's bias."""
        self._seed = seed * 10_007
        self._products = 0

    def dense(self, width: int) -> _Layer:
        """Return a dense layer of ``width`` units."""
        return keras.layers.Dense(width, **self._product())

    def convolution(self, filters: int, size: int = 3, stride: int = 1) -> _Layer:
        """Return a convolution of windows ``size`` x ``size``, ``stride`` pixels apart."""
        return keras.layers.Conv2D(filters, size, stride, padding="same", **self._product())

    def last(self, classes: int) -> _Layer:
        """Return the layer of logits, in the dtype of the precision's weights, for the loss."""
        initializer = keras.initializers.GlorotUniform(seed=self.next_seed())
        return keras.layers.Dense(classes, kernel_initializer=initializer, dtype=self.kind.dtype)

    def hidden(self, product: _Layer, x: _Tensor) -> _Tensor:
        """Return a hidden layer's output for ``x``: the product, the norm and the activation."""
        return self.activated(product(x))

    def activated(self, x: _Tensor) -> _Tensor:
        """Apply the activation to ``x``, with the norm before or after it."""
        if self.norm_first:
            return self.activation(x)(self.normed(x))
        return self.normed(self.activation(x)(x))

    def activation(self, x: _Tensor) -> _Layer:
        """Return the activation layer for tensors of the shape of ``x``."""
        name, policy = self.variant.activation, self.kind.policy
        if name == "leaky_relu":
            return keras.layers.LeakyReLU(dtype=policy)
        if name == "prelu":
            shared = [1, 2] if len(x.shape) == 4 else None
            return keras.layers.PReLU(shared_axes=shared, dtype=policy)
        return keras.layers.Activation(name, dtype=policy)

    def normed(self, x: _Tensor) -> _Tensor:
        """Apply the norm to ``x``; return ``x`` if there is none."""
        kind, policy = self.variant.norm, self.kind.policy
        if kind in ("bn_post", "bn_pre"):
            if self.variant.batch_norm == "fused":
                return FusedBatchNormalization(dtype=policy)(x)
            synchronized = self.variant.synchronized and self.variant.communication == "full"
            layer = keras.layers.BatchNormalization(synchronized=synchronized, dtype=policy)
            return layer(x)
        return x if kind == "none" else self._normalize_examples(x)

    def _normalize_examples(self, x: _Tensor) -> _Tensor:
        """Apply layer or group norm to ``x``; for images (n, H, W, C), over all positions."""
        kind, policy = self.variant.norm, self.kind.policy
        # An unknown size is that of a sequence or an image, with more than one position.
        shape = tuple(size or 2 for size in x.shape[1:])
        over_features = kind == "layer" and len(shape) != 3
        count = math.prod(shape[-1:] if over_features else shape)
        if count < FEWEST_VALUES:
            raise WorkloadError(
                f"norm {kind!r} leaves nothing to learn from if its means are over fewer than "
                f"{FEWEST_VALUES} values, {count} here: widen that layer, or omit its norm"
            )
        if over_features:
            return keras.layers.LayerNormalization(dtype=policy)(x)
        if kind == "layer":
            return ImageLayerNormalization(dtype=policy)(x)
        return keras.layers.GroupNormalization(group_count(shape), dtype=policy)(x)

    def flatten(self) -> _Layer:
        """Return a layer that joins rows, columns and channels."""
        return keras.layers.Flatten(dtype=self.kind.policy)

    def pool(self, size: int = 2) -> _Layer:
        """Return max pooling over windows of ``size`` x ``size``, every second row and column."""
        return keras.layers.MaxPooling2D(size, 2, padding="same", dtype=self.kind.policy)

    def mean(self) -> _Layer:
        """Return a layer that averages each channel over all positions."""
        return keras.layers.GlobalAveragePooling2D(dtype=self.kind.policy)

    def sum(self) -> _Layer:
        """Return a layer that adds a list of tensors of one shape."""
        return keras.layers.Add(dtype=self.kind.policy)

    def next_seed(self) -> int:
        """Return a new seed at each call; the sequence depends only on the trial's seed."""
        self._products += 1
        return self._seed + self._products

    def _product(self) -> dict[str, Any]:
        """Return the arguments of a dense layer or a convolution."""
        return {
            "kernel_initializer": INITIALIZERS[self.variant.initializer](self.next_seed()),
            "use_bias": not self.norm_first,
            "dtype": self.kind.policy,
        }
