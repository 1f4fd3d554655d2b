"""Look up examples by index: a stored image in floating point, augmented by its index.

Usage:
    reader = ExampleReader(variant, stored=55_000)
    images, labels = reader.look_up(stored_images, stored_labels, indices)    # bytes
    images = reader.prepare(images, indices)                                  # numbers
"""

from typing import Any

import tensorflow as tf

from bench.spec.variant import Variant
from bench.training.data.augmentation import augment
from bench.training.model.precision import PRECISIONS

_Tensor = Any


class ExampleReader:
    """The examples of a variant: ``stored`` originals, and copies of them beyond that number."""

    def __init__(self, variant: Variant, stored: int) -> None:
        self._originals = min(variant.examples, stored)
        self._dtype = PRECISIONS[variant.precision].dtype
        self._has_copies = variant.examples > self._originals
        self.augments = variant.augment == "always" or (
            variant.augment == "auto" and self._has_copies
        )

    def look_up(
        self, images: _Tensor, labels: _Tensor, indices: _Tensor
    ) -> tuple[_Tensor, _Tensor]:
        """Return byte images and labels of the examples ``indices`` (n,), from the stored ones."""
        rows = indices % self._originals if self._has_copies else indices
        return tf.gather(images, rows), tf.gather(labels, rows)

    def prepare(self, images: _Tensor, indices: _Tensor) -> _Tensor:
        """Turn byte images (n, H, W, C) of the examples ``indices`` (n,) into training inputs."""
        batch = to_unit_range(images, self._dtype)
        return augment(batch, indices, self._originals) if self.augments else batch


def to_unit_range(images: _Tensor, dtype: str) -> _Tensor:
    """Convert byte images to numbers in [0, 1]."""
    return tf.cast(images, dtype) / 255.0
