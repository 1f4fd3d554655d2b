"""Examples by index: an image of the stored ones, in floating point, changed by its index.

Usage:
    source = ExampleReader(variant, originals=55_000)
    images, labels = source.look_up(stored_images, stored_labels, indices)    # bytes
    images = source.prepared(images, indices)                                 # numbers
"""

from typing import Any

import tensorflow as tf

from bench.spec.variant import Variant
from bench.training.data.augmentation import augment
from bench.training.model.precision import PRECISIONS

_Tensor = Any


class ExampleReader:
    """The examples of a variant, of which ``stored`` are held; the others are copies of them."""

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
        """Byte images and labels of the examples ``indices`` (n,), from all that are stored."""
        rows = indices % self._originals if self._has_copies else indices
        return tf.gather(images, rows), tf.gather(labels, rows)

    def prepared(self, images: _Tensor, indices: _Tensor) -> _Tensor:
        """Byte images (n, H, W, C), those that ``indices`` (n,) show, as training takes them."""
        batch = to_unit_range(images, self._dtype)
        return augment(batch, indices, self._originals) if self.augments else batch


def to_unit_range(images: _Tensor, dtype: str) -> _Tensor:
    """Byte images as numbers in [0, 1]."""
    return tf.cast(images, dtype) / 255.0
