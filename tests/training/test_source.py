"""Batches as training takes them: parts of replicas, numbers from bytes."""

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from bench.training.source import part_of, to_unit_range
from tests.training_made import FEW


@FEW
@given(st.integers(1, 8), st.integers(1, 5))
def test_replicas_take_consecutive_parts_that_make_up_the_batch(replicas: int, size: int) -> None:
    batch = tf.range(replicas * size, dtype=tf.int64)
    parts = [part_of(batch, tf.constant(rank), size).numpy() for rank in range(replicas)]
    np.testing.assert_array_equal(np.concatenate(parts), batch.numpy())


def test_bytes_become_numbers_from_zero_to_one() -> None:
    found = to_unit_range(tf.constant([[0, 51, 255]], tf.uint8), "float64").numpy()
    np.testing.assert_allclose(found, [[0.0, 0.2, 1.0]], rtol=1e-15)
