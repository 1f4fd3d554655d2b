"""A 32-bit integer hash, elementwise on the device.

In int64 throughout: TensorFlow keeps int32 arithmetic on the host even where there is a GPU.
"""

from typing import Any

import tensorflow as tf

_Tensor = Any

_MASK = 0xFFFFFFFF


def hash32(values: _Tensor) -> _Tensor:
    """Well-mixed values in [0, 2**32) of the low 32 bits of int64 ``values``.

    Shifts and constants are the best that C. Wellons' hash-prospector search lists.
    """
    values = tf.bitwise.bitwise_and(values, _MASK)
    values = _multiplied(_shifted_xor(values, 16), 0x21F0AAAD)
    values = _multiplied(_shifted_xor(values, 15), 0x735A2D97)
    return _shifted_xor(values, 15)


def high_bits(values: _Tensor) -> _Tensor:
    """All but the low 32 bits of int64 ``values``."""
    return tf.bitwise.right_shift(values, tf.constant(32, tf.int64))


def _shifted_xor(values: _Tensor, bits: int) -> _Tensor:
    shifted = tf.bitwise.right_shift(values, tf.constant(bits, tf.int64))
    return tf.bitwise.bitwise_xor(values, shifted)


def _multiplied(values: _Tensor, factor: int) -> _Tensor:
    return tf.bitwise.bitwise_and(values * factor, _MASK)
