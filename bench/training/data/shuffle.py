"""In which order an epoch takes its examples: the same for every worker, from (seed, epoch).

Usage:
    order = Shuffle(examples=55_000, seed=7)
    shuffled = order.of_epoch(3)                     # once an epoch, inside its time
    indices = order.window(shuffled, start, count)   # int64 tensor (count,)
    rows = order.part(shuffled, first, steps, rank, ranks, size)   # int64 tensor (steps, size)

Up to ten million examples the order is a permutation held in memory. A permutation of a
hundred million takes seconds and gigabytes, so beyond that it is a bijection computed where
it is needed, from a position to an example.
"""

import functools
from typing import Any

import tensorflow as tf

from bench.training.data.hashing import hash32, high_bits

_Tensor = Any

MAX_PERMUTATION = 10_000_000

_ROUNDS = 24


class Shuffle:
    """The shuffled orders of a data set of ``examples`` examples under one ``seed``."""

    def __init__(self, examples: int, seed: int, max_permutation: int = MAX_PERMUTATION) -> None:
        self._examples, self._seed = examples, seed
        self.method = "permutation" if examples <= max_permutation else "bijection"

    def of_epoch(self, epoch: int | _Tensor) -> _Tensor:
        """What ``window`` needs of an epoch: its permutation, or the key of its bijection."""
        # TensorFlow shuffles on the host alone.
        with tf.device("CPU:0"):
            key = tf.stack([tf.cast(self._seed, tf.int64), tf.cast(epoch, tf.int64)])
            if self.method == "bijection":
                return key
            return _permutation(tf.constant(self._examples, tf.int64), key)

    def window(self, shuffled: _Tensor, start: int | _Tensor, count: int) -> _Tensor:
        """The examples at positions ``start`` to ``start + count`` of an epoch's order."""
        first = tf.cast(start, tf.int64)
        if self.method == "permutation":
            return shuffled[first : first + count]
        return _bijected(first, shuffled, (1, count, count), self._examples)[0]

    def part(
        self, shuffled: _Tensor, first: int, steps: int, rank: int, ranks: int, size: int
    ) -> _Tensor:
        """What replica ``rank`` of ``ranks`` takes in ``steps`` steps from the ``first`` on.

        int64 (steps, size) on the device of the caller: consecutive slices of each global batch.
        A permutation is cut on the host, so that one copy brings the part to the device.
        """
        if self.method == "permutation":
            with tf.device("CPU:0"):
                used = shuffled[first * ranks * size : (first + steps) * ranks * size]
                part = tf.reshape(used, (steps, ranks, size))[:, rank]
            return tf.identity(part)
        start, stride = (first * ranks + rank) * size, ranks * size
        return _bijected(
            tf.constant(start, tf.int64), shuffled, (steps, stride, size), self._examples
        )


@functools.partial(tf.function, autograph=False)
def _permutation(examples: _Tensor, key: _Tensor) -> _Tensor:
    return tf.random.experimental.stateless_shuffle(tf.range(examples), seed=key)


@functools.partial(tf.function, autograph=False, jit_compile=True)
def _bijected(start: _Tensor, key: _Tensor, shape: tuple[int, int, int], examples: int) -> _Tensor:
    """The examples at ``rows`` rows of ``size`` places, ``stride`` apart, from ``start`` on.

    ``shape`` is (rows, stride, size); the positions are made where they are used.
    """
    rows, stride, size = shape
    row, place = (tf.range(count, dtype=tf.int64) for count in (rows, size))
    return swap_or_not(start + row[:, None] * stride + place[None, :], examples, key)


def swap_or_not(positions: _Tensor, size: int, key: _Tensor) -> _Tensor:
    """A pseudorandom bijection of [0, size), elementwise on int64 ``positions``.

    The swap-or-not shuffle (Hoang, Morris and Rogaway, CRYPTO 2012): in each round a position
    and its mirror image swap or do not, by one hashed bit of the larger of the two. It needs
    no search, whatever ``size``, so its cost does not depend on the data.
    """
    seed = hash32(hash32(key[0]) + key[1])
    for number in range(_ROUNDS):
        round_key = hash32(seed + number * 0x9E3779B9)
        # Two hashes side by side, as one alone would not reach past 2**32.
        offset = (round_key * 2**20 + hash32(round_key + 1)) % size
        mirrored = (offset - positions) % size
        larger = tf.maximum(positions, mirrored)
        bit = hash32(hash32(larger + round_key) + high_bits(larger)) % 2
        positions = tf.where(tf.equal(bit, 1), mirrored, positions)
    return positions
