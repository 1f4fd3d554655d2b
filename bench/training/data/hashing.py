"""Hash integers to 32 bits, elementwise on the device.

All values are int64: TensorFlow keeps int32 arithmetic on the host even where there is a GPU.
"""

from typing import Any

import tensorflow as tf

_Tensor = Any

_MASK = 0xFFFFFFFF


def hash32(values: _Tensor) -> _Tensor:
    """Hash the low 32 bits of int64 ``values`` to [0, 2**32).

    Shifts and constants are the best ones listed by C. Wellons' hash-prospector search.
    """
    values = tf.bitwise.bitwise_and(values, _MASK)
    values = _multiply(_xor_shift(values, 16), 0x21F0AAAD)
    values = _multiply(_xor_shift(values, 15), 0x735A2D97)
    return _xor_shift(values, 15)


def high_bits(values: _Tensor) -> _Tensor:
    """Return int64 ``values`` without their low 32 bits, shifted right."""
    return tf.bitwise.right_shift(values, tf.constant(32, tf.int64))


def _xor_shift(values: _Tensor, bits: int) -> _Tensor:
    shifted = tf.bitwise.right_shift(values, tf.constant(bits, tf.int64))
    return tf.bitwise.bitwise_xor(values, shifted)


def _multiply(values: _Tensor, factor: int) -> _Tensor:
    return tf.bitwise.bitwise_and(values * factor, _MASK)
