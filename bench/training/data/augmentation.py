"""Augment images: make further examples from stored ones, by their index only.

Usage:
    images = augment(images, indices, originals=55_000)

Example ``i`` shows image ``i % originals``. The first ``originals`` examples are the images
themselves. Every later one is shifted by up to two pixels each way, flipped or not, and has its
contrast scaled. All of this follows from a hash of ``i``: it is equal on every worker and in
every epoch.
"""

from typing import Any

import tensorflow as tf

from bench.training.data.hashing import hash32, high_bits

_Tensor = Any

MAX_SHIFT = 2
CONTRAST = (0.75, 1.25)


def augment(images: _Tensor, indices: _Tensor, originals: int) -> _Tensor:
    """Augment ``images`` (n, H, W, C), in floating point, of the examples ``indices`` (n,).

    An original passes through the same computation as a copy, without effect.
    """
    is_copy = indices >= originals
    bits = hash32(hash32(indices) + high_bits(indices))
    side = 2 * MAX_SHIFT + 1
    shift_y = tf.where(is_copy, bits % side - MAX_SHIFT, 0)
    shift_x = tf.where(is_copy, (bits // side) % side - MAX_SHIFT, 0)
    flip = tf.logical_and(is_copy, tf.equal((bits // side**2) % 2, 1))
    fraction = tf.cast(hash32(bits), images.dtype) / 2.0**32
    low, high = CONTRAST
    contrast = tf.where(is_copy, low + (high - low) * fraction, tf.ones_like(fraction))
    shifted = _shift_and_flip(images, shift_y, shift_x, flip)
    return shifted * contrast[:, None, None, None]


def _shift_and_flip(images: _Tensor, shift_y: _Tensor, shift_x: _Tensor, flip: _Tensor) -> _Tensor:
    """Shift each image, filling its edges with zeros, and flip it if ``flip`` says so."""
    height, width = images.shape[1], images.shape[2]
    padding = [[0, 0], [MAX_SHIFT, MAX_SHIFT], [MAX_SHIFT, MAX_SHIFT], [0, 0]]
    padded = tf.pad(images, padding)
    rows = tf.range(height, dtype=tf.int64)[None, :] + (MAX_SHIFT - shift_y)[:, None]
    columns = tf.range(width, dtype=tf.int64)[None, :]
    columns = tf.where(flip[:, None], width - 1 - columns, columns)
    columns = columns + (MAX_SHIFT - shift_x)[:, None]
    padded = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(padded, columns, axis=2, batch_dims=1)
