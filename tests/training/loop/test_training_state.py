"""The training state is restored, and its norm is a fingerprint."""

import math

import keras
import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from bench.training.device_strategy import make_replicas
from bench.training.loop.training_state import restored, weights_l2
from tests.support.training_setup import FEW, small, snapshot

VALUES = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=8)


@FEW
@given(VALUES, VALUES)
def test_variables_are_restored(first: list[float], second: list[float]) -> None:
    variables = [tf.Variable(first), keras.Variable(second), tf.Variable(3, dtype=tf.int64)]
    before = snapshot(variables)
    with restored(variables, make_replicas(small())):
        for variable in variables:
            variable.assign(np.ones_like(variable.numpy()))
    for old, new in zip(before, snapshot(variables), strict=True):
        np.testing.assert_array_equal(old, new)


@FEW
@given(VALUES, VALUES)
def test_the_fingerprint_is_the_norm_over_all_variables(
    first: list[float], second: list[float]
) -> None:
    norm = weights_l2([tf.Variable(first), tf.Variable(second)])
    assert math.isclose(norm, math.hypot(*first, *second), rel_tol=1e-12)


def test_a_broken_weight_breaks_the_fingerprint() -> None:
    assert math.isnan(weights_l2([tf.Variable([1.0, math.nan])]))
