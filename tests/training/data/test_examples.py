"""Examples are converted from bytes to numbers."""

import numpy as np
import tensorflow as tf

from bench.training.data.examples import to_unit_range


def test_bytes_become_numbers_from_zero_to_one() -> None:
    actual = to_unit_range(tf.constant([[0, 51, 255]], tf.uint8), "float64").numpy()
    np.testing.assert_allclose(actual, [[0.0, 0.2, 1.0]], rtol=1e-15)
