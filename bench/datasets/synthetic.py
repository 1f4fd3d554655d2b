"""Make synthetic images of any shape: one coarse pattern per class, with added noise.

They can be learned, so a loss falls and a diverging run is visible, but their accuracy says
nothing about a technique. Equal arguments give equal bytes, independent of a trial's seed.

Usage:
    arrays = make_synthetic(shape=(224, 224, 3), classes=1000, examples=1_281_167)
"""

import math

import numpy as np

from bench.datasets.arrays import Arrays, Images, Labels
from bench.datasets.synthetic_sizes import POOL_BYTES, pool_sizes
from bench.errors import DatasetError

_SEED = 20260101
_GRID = 8
"""Most cells on each side of a pattern: coarse enough for convolutions to see it."""
_CHUNK_BYTES = 4 * 2**20
_EXAMPLE_BYTES = POOL_BYTES // 8


def make_synthetic(shape: tuple[int, ...], classes: int, examples: int) -> Arrays:
    """Make uint8 images of ``shape`` (height, width, channels) in balanced ``classes``.

    ``pool_sizes`` gives their number. Raises DatasetError if one example, or the patterns of all
    classes, would take more than 32 MiB.
    """
    _check_size(shape, classes)
    train, held_out = pool_sizes(shape, examples)
    labels = np.arange(train + 2 * held_out, dtype=np.int32) % np.int32(classes)
    images = _make_images(shape, classes, labels)
    val, test = train, train + held_out
    return Arrays(
        train_images=images[:val],
        train_labels=labels[:val],
        val_images=images[val:test],
        val_labels=labels[val:test],
        test_images=images[test:],
        test_labels=labels[test:],
        classes=classes,
        real=False,
    )


def _check_size(shape: tuple[int, ...], classes: int) -> None:
    """Reject sizes that would exhaust the driver's memory, before allocating anything."""
    example_bytes, pattern_bytes = math.prod(shape), classes * math.prod(_pattern_shape(shape))
    if example_bytes > _EXAMPLE_BYTES:
        raise DatasetError(
            f"one synthetic example of shape {list(shape)} takes {example_bytes} bytes, "
            f"more than {_EXAMPLE_BYTES}: lower shape"
        )
    if pattern_bytes > _EXAMPLE_BYTES:
        raise DatasetError(
            f"the patterns of {classes} synthetic classes take {pattern_bytes} bytes, "
            f"more than {_EXAMPLE_BYTES}: lower classes or shape"
        )


def _pattern_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the rows, columns and channels of a class's pattern."""
    height, width, channels = shape
    return min(height, _GRID), min(width, _GRID), channels


def _make_images(shape: tuple[int, ...], classes: int, labels: Labels) -> Images:
    """Add pattern and noise, each of half the uint8 range so that their sum cannot overflow."""
    generator = np.random.Generator(np.random.PCG64(_SEED))
    height, width, _ = shape
    rows, columns, channels = _pattern_shape(shape)
    patterns = generator.integers(0, 128, (classes, rows, columns, channels), dtype=np.uint8)
    images = np.empty((len(labels), *shape), np.uint8)
    row_cells = np.arange(height) * rows // height
    column_cells = np.arange(width) * columns // width
    step = max(1, _CHUNK_BYTES // math.prod(shape))
    for first in range(0, len(labels), step):
        chunk = images[first : first + step]
        noise = np.frombuffer(generator.bytes(chunk.size), np.uint8).reshape(chunk.shape)
        pattern = patterns[labels[first : first + step]]
        np.right_shift(noise, 1, out=chunk)
        chunk += pattern[:, row_cells][:, :, column_cells]
    return images
