"""Batch norm by TensorFlow's fused operation, with the results of Keras's layer.

Usage:
    x = FusedBatchNormalization(dtype="mixed_bfloat16")(x)

Keras 3 computes batch norm by operations of general use, each a kernel of its own where XLA does
not fuse them. The fused operation is one kernel forwards and one backwards, cuDNN's on a GPU.
"""

import math
from typing import Any

import keras
import tensorflow as tf

_Tensor = Any


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """``keras.layers.BatchNormalization()``, not synchronized, in one operation while it trains.

    Input of any rank from 2 with channels last, float32 or, with float32 weights and
    statistics, float16 or bfloat16. Variables are Keras's own, in its order.
    """

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        super().__init__(dtype=dtype, name=name)

    def call(self, inputs: _Tensor, training: bool | None = None, mask: Any = None) -> _Tensor:
        """``inputs`` normalised by their batch's statistics, which enter the moving averages.

        ValueError where ``mask`` leaves out elements, or a dimension is not known.
        """
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        if mask is not None:
            raise ValueError("fused batch norm takes no mask: use batch_norm = 'keras'")
        count = _elements_per_channel(inputs.shape)
        # The operation averages variances over n - 1 elements (Bessel's correction), Keras over n:
        # an average that goes in too large by n / (n - 1) comes out too large by it.
        bessel = count / max(count - 1, 1)
        moving_variance = tf.convert_to_tensor(self.moving_variance)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            _with_rank_4(inputs),
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=tf.convert_to_tensor(self.moving_mean),
            variance=moving_variance * bessel,
            epsilon=self.epsilon,
            exponential_avg_factor=1.0 - self.momentum,
        )
        if count == 1:
            # Its variance is 0, which the operation may divide by n - 1.
            variance = moving_variance * self.momentum
        self.moving_mean.assign(mean)
        self.moving_variance.assign(variance / bessel)
        return tf.reshape(outputs, inputs.shape)


def _elements_per_channel(shape: tf.TensorShape) -> int:
    if not shape.is_fully_defined():
        raise ValueError(f"fused batch norm needs a fixed shape, not {shape}: drop the remainder")
    return math.prod(shape[:-1])


def _with_rank_4(x: _Tensor) -> _Tensor:
    """``x`` as the operation takes it; a convolution's output as it is."""
    return x if len(x.shape) == 4 else tf.reshape(x, (x.shape[0], 1, -1, x.shape[-1]))
