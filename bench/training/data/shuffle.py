"""Shuffle an epoch's examples: an order from (seed, epoch), equal on every worker.

Usage:
    order = Shuffle(examples=55_000, seed=7)
    epoch_order = order.epoch_order(3)               # once an epoch, inside its time
    indices = order.window(epoch_order, start, count)   # int64 tensor (count,)
    rows = order.part(epoch_order, first, steps, rank, ranks, size)   # int64 (steps, size)

Up to ten million examples, the order is a permutation in memory. A permutation of a hundred
million takes seconds and gigabytes, so beyond that the order is a bijection from a position to an
example, computed where it is needed.
"""

import functools
from typing import Any

import tensorflow as tf

from bench.training.data.hashing import hash32, high_bits

_Tensor = Any

MAX_PERMUTATION = 10_000_000

_ROUNDS = 24


class Shuffle:
    """The orders of ``examples`` examples in each epoch, for one ``seed``."""

    def __init__(self, examples: int, seed: int, max_permutation: int = MAX_PERMUTATION) -> None:
        self._examples, self._seed = examples, seed
        self.method = "permutation" if examples <= max_permutation else "bijection"

    def epoch_order(self, epoch: int | _Tensor) -> _Tensor:
        """Return an epoch's permutation, or its bijection's key, for ``window`` and ``part``."""
        # TensorFlow shuffles only on the host.
        with tf.device("CPU:0"):
            key = tf.stack([tf.cast(self._seed, tf.int64), tf.cast(epoch, tf.int64)])
            if self.method == "bijection":
                return key
            return _permutation(tf.constant(self._examples, tf.int64), key)

    def window(self, epoch_order: _Tensor, start: int | _Tensor, count: int) -> _Tensor:
        """Return the examples at positions ``start`` to ``start + count`` of an epoch's order."""
        first = tf.cast(start, tf.int64)
        if self.method == "permutation":
            return epoch_order[first : first + count]
        return _bijection(first, epoch_order, (1, count, count), self._examples)[0]

    def part(
        self, epoch_order: _Tensor, first: int, steps: int, rank: int, ranks: int, size: int
    ) -> _Tensor:
        """Return the examples of replica ``rank`` of ``ranks`` in ``steps`` steps from ``first``.

        int64 (steps, size) on the caller's device: one consecutive slice of each global batch.
        A permutation is sliced on the host, so that a single copy brings the part to the device.
        """
        if self.method == "permutation":
            with tf.device("CPU:0"):
                used = epoch_order[first * ranks * size : (first + steps) * ranks * size]
                part = tf.reshape(used, (steps, ranks, size))[:, rank]
            return tf.identity(part)
        start, stride = (first * ranks + rank) * size, ranks * size
        return _bijection(
            tf.constant(start, tf.int64), epoch_order, (steps, stride, size), self._examples
        )


@functools.partial(tf.function, autograph=False)
def _permutation(examples: _Tensor, key: _Tensor) -> _Tensor:
    return tf.random.experimental.stateless_shuffle(tf.range(examples), seed=key)


@functools.partial(tf.function, autograph=False, jit_compile=True)
def _bijection(start: _Tensor, key: _Tensor, shape: tuple[int, int, int], examples: int) -> _Tensor:
    """Return the examples at ``rows`` rows of ``size`` positions, ``stride`` apart, from ``start``.

    ``shape`` is (rows, stride, size). The positions are computed on the device.
    """
    rows, stride, size = shape
    row, column = (tf.range(count, dtype=tf.int64) for count in (rows, size))
    return swap_or_not(start + row[:, None] * stride + column[None, :], examples, key)


def swap_or_not(positions: _Tensor, size: int, key: _Tensor) -> _Tensor:
    """Map int64 ``positions`` elementwise by a pseudorandom bijection of [0, size).

    The swap-or-not shuffle (Hoang, Morris and Rogaway, CRYPTO 2012): in each round, one hashed
    bit of the larger of a position and its mirror image decides whether the two swap. It needs
    no search for any ``size``, so its cost does not depend on the data.
    """
    seed = hash32(hash32(key[0]) + key[1])
    for number in range(_ROUNDS):
        round_key = hash32(seed + number * 0x9E3779B9)
        # Combine two hashes: a single one does not reach beyond 2**32.
        offset = (round_key * 2**20 + hash32(round_key + 1)) % size
        mirrored = (offset - positions) % size
        larger = tf.maximum(positions, mirrored)
        bit = hash32(hash32(larger + round_key) + high_bits(larger)) % 2
        positions = tf.where(tf.equal(bit, 1), mirrored, positions)
    return positions
