"""Scale the loss, so that small gradients do not vanish in float16.

Usage:
    loss_scale = LossScale()
    scaled = loss * loss_scale.scale
    loss_scale.adapt(finite)           # after each step
"""

from typing import Any

import tensorflow as tf

_Tensor = Any


class LossScale:
    """A dynamic loss scale: halved when a gradient overflows, doubled after ``GROWTH_STEPS``.

    Both constants are those of Keras and of Micikevicius et al., arXiv 1710.03740.
    """

    INITIAL = 2.0**15
    MINIMUM = 1.0
    GROWTH_STEPS = 2000
    """Steps without an overflow after which the scale is doubled."""

    def __init__(self) -> None:
        self.scale = tf.Variable(self.INITIAL, trainable=False, dtype=tf.float32)
        self.finite_steps = tf.Variable(0, trainable=False, dtype=tf.int64)

    @property
    def variables(self) -> list[tf.Variable]:
        """The variables that belong to the training state."""
        return [self.scale, self.finite_steps]

    def adapt(self, finite: _Tensor) -> None:
        """Adjust the scale after a step, by whether all its gradients were ``finite``."""
        finite_steps = tf.where(finite, self.finite_steps + 1, tf.zeros_like(self.finite_steps))
        doubles = finite_steps >= self.GROWTH_STEPS
        factor = tf.where(finite, tf.where(doubles, 2.0, 1.0), 0.5)
        self.scale.assign(tf.maximum(self.scale * factor, self.MINIMUM))
        self.finite_steps.assign(tf.where(doubles, tf.zeros_like(finite_steps), finite_steps))
