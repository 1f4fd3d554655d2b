"""Compute batch norm with TensorFlow's fused operation, with the results of Keras's layer.

Usage:
    x = FusedBatchNormalization(dtype="mixed_bfloat16")(x)

Keras 3 computes batch norm with general operations, and each runs as a separate kernel unless XLA
fuses them. The fused operation is one kernel forwards and one backwards, on a GPU cuDNN's.
"""

import math
from typing import Any

import keras
import tensorflow as tf

_Tensor = Any


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """``keras.layers.BatchNormalization()``, not synchronized, as one operation in training.

    The input has any rank from 2, with channels last. It is float32, or float16 or bfloat16 with
    float32 weights and statistics. Variables are those of Keras, in its order.
    """

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        super().__init__(dtype=dtype, name=name)

    def call(self, inputs: _Tensor, training: bool | None = None, mask: Any = None) -> _Tensor:
        """Normalize ``inputs`` by their batch's statistics, and update the moving averages.

        ValueError if there is a ``mask``, or if a dimension is unknown.
        """
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        if mask is not None:
            raise ValueError("fused batch norm takes no mask: use batch_norm = 'keras'")
        count = _elements_per_channel(inputs.shape)
        # The operation divides variances by n - 1 (Bessel's correction), Keras by n. If the moving
        # average goes in larger by n / (n - 1), it comes out larger by the same factor.
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
            # The variance is 0, and the operation may divide it by n - 1 = 0.
            variance = moving_variance * self.momentum
        self.moving_mean.assign(mean)
        self.moving_variance.assign(variance / bessel)
        return tf.reshape(outputs, inputs.shape)


def _elements_per_channel(shape: tf.TensorShape) -> int:
    if not shape.is_fully_defined():
        raise ValueError(f"fused batch norm needs a fixed shape, not {shape}: drop the remainder")
    return math.prod(shape[:-1])


def _with_rank_4(x: _Tensor) -> _Tensor:
    """Reshape ``x`` to rank 4, as the operation needs; a convolution's output stays as it is."""
    return x if len(x.shape) == 4 else tf.reshape(x, (x.shape[0], 1, -1, x.shape[-1]))
