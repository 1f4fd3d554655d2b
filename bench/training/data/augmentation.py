"""Further examples without storage: copies changed by their index alone.

Usage:
    images = augment(images, indices, originals=55_000)

Example ``i`` shows image ``i % originals``. The first ``originals`` examples are the images
themselves; every later one is shifted by up to two pixels each way, flipped or not, and has
its contrast scaled, all by a hash of ``i``: the same on every worker, in every epoch.
"""

from typing import Any

import tensorflow as tf

from bench.training.data.hashing import hash32, high_bits

_Tensor = Any

MAX_SHIFT = 2
CONTRAST = (0.75, 1.25)


def augment(images: _Tensor, indices: _Tensor, originals: int) -> _Tensor:
    """Images (n, H, W, C) of examples ``indices`` (n,), in floating point, as above.

    An original goes through the same computation as a copy, with nothing to change.
    """
    is_copy = indices >= originals
    bits = hash32(hash32(indices) + high_bits(indices))
    side = 2 * MAX_SHIFT + 1
    shift_y = tf.where(is_copy, bits % side - MAX_SHIFT, 0)
    shift_x = tf.where(is_copy, (bits // side) % side - MAX_SHIFT, 0)
    flip = tf.logical_and(is_copy, tf.equal((bits // side**2) % 2, 1))
    share = tf.cast(hash32(bits), images.dtype) / 2.0**32
    low, high = CONTRAST
    contrast = tf.where(is_copy, low + (high - low) * share, tf.ones_like(share))
    moved = _moved(images, shift_y, shift_x, flip)
    return moved * contrast[:, None, None, None]


def _moved(images: _Tensor, shift_y: _Tensor, shift_x: _Tensor, flip: _Tensor) -> _Tensor:
    """Shift (and flip) each image, zeros coming in from outside."""
    height, width = images.shape[1], images.shape[2]
    padding = [[0, 0], [MAX_SHIFT, MAX_SHIFT], [MAX_SHIFT, MAX_SHIFT], [0, 0]]
    padded = tf.pad(images, padding)
    rows = tf.range(height, dtype=tf.int64)[None, :] + (MAX_SHIFT - shift_y)[:, None]
    columns = tf.range(width, dtype=tf.int64)[None, :]
    columns = tf.where(flip[:, None], width - 1 - columns, columns)
    columns = columns + (MAX_SHIFT - shift_x)[:, None]
    padded = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(padded, columns, axis=2, batch_dims=1)
