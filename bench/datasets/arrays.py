"""Hold one dataset as plain numpy arrays that are cheap to send to another process.

Usage:
    arrays = load_arrays(variant)
    arrays.shape, arrays.classes     # ((28, 28, 1), 10)
    if not arrays.real: ...          # do not interpret its accuracy
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images are uint8 (n, height, width, channels), labels int32 (n,) below ``classes``.

    All arrays are C-contiguous, so pickling (protocol 5) and Ray's object store do not copy them.
    They may be read-only.
    """

    train_images: Images
    train_labels: Labels
    val_images: Images
    val_labels: Labels
    test_images: Images
    test_labels: Labels
    classes: int
    real: bool
    """False for synthetic data: its accuracy says nothing about a technique."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one example."""
        height, width, channels = self.train_images.shape[1:]
        return height, width, channels

    @property
    def size_bytes(self) -> int:
        """The memory of all six arrays."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))
