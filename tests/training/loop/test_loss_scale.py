"""The loss scale halves on an overflow, and doubles after enough steps without one."""

import math

import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from bench.training.loop.loss_scale import LossScale
from tests.support.training_setup import FEW


def test_the_scale_doubles_after_enough_finite_steps_and_the_count_restarts() -> None:
    scale = LossScale()
    scale.finite_steps.assign(LossScale.GROWTH_STEPS - 2)
    scale.adapt(tf.constant(True))
    assert float(scale.scale) == LossScale.INITIAL
    scale.adapt(tf.constant(True))
    assert (float(scale.scale), int(scale.finite_steps)) == (2 * LossScale.INITIAL, 0)


def test_an_overflow_resets_the_count() -> None:
    scale = LossScale()
    scale.finite_steps.assign(LossScale.GROWTH_STEPS - 1)
    scale.adapt(tf.constant(False))
    assert (float(scale.scale), int(scale.finite_steps)) == (LossScale.INITIAL / 2, 0)


@FEW
@given(st.lists(st.booleans(), max_size=60))
def test_the_scale_stays_a_power_of_two_of_at_least_one(steps: list[bool]) -> None:
    scale = LossScale()
    for finite in steps:
        scale.adapt(tf.constant(finite))
    exponent = math.log2(float(scale.scale))
    assert exponent == int(exponent) >= 0
