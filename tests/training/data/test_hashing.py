"""The integer hash has its range, no collisions, and mixes well."""

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from bench.training.data.hashing import hash32, high_bits
from tests.support.training_setup import FEW

INT64 = st.integers(-(2**63), 2**63 - 1)


def hashes(values: np.ndarray) -> np.ndarray:
    actual: np.ndarray = hash32(tf.constant(values, tf.int64)).numpy()
    return actual


def reference_hash(value: int) -> int:
    """Compute the same hash with Python's unbounded integers, after its author's C code."""
    x = value & 0xFFFFFFFF
    x = ((x ^ x >> 16) * 0x21F0AAAD) & 0xFFFFFFFF
    x = ((x ^ x >> 15) * 0x735A2D97) & 0xFFFFFFFF
    return x ^ x >> 15


@FEW
@given(st.lists(INT64, min_size=1, max_size=20))
def test_it_is_the_published_hash_of_the_low_32_bits(values: list[int]) -> None:
    assert hashes(np.array(values)).tolist() == [reference_hash(v) for v in values]


@FEW
@given(st.lists(st.integers(0, 2**32 - 1), unique=True, min_size=2, max_size=200))
def test_different_values_have_different_hashes(values: list[int]) -> None:
    actual = hashes(np.array(values))
    assert len(set(actual.tolist())) == len(values)
    assert ((actual >= 0) & (actual < 2**32)).all()


def test_a_flipped_bit_flips_half_of_the_hash() -> None:
    values = np.arange(20_000)
    for bit in range(32):
        changed = hashes(values) ^ hashes(values ^ (1 << bit))
        flips = np.array([(changed >> b & 1).mean() for b in range(32)])
        # Six standard errors of a fair coin thrown 20,000 times.
        assert np.abs(flips - 0.5).max() < 6 * 0.5 / np.sqrt(len(values)) + 0.01


@FEW
@given(INT64)
def test_high_bits_and_low_bits_make_up_the_value(value: int) -> None:
    high = int(high_bits(tf.constant(value, tf.int64)))
    assert (high << 32) + (value & 0xFFFFFFFF) == value


def test_xla_computes_the_same() -> None:
    values = tf.range(-5_000, 5_000, dtype=tf.int64) * 1_000_003
    compiled = tf.function(hash32, jit_compile=True)
    np.testing.assert_array_equal(compiled(values).numpy(), hash32(values).numpy())
