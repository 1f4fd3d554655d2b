"""The passes through a model whose weights are given as tensors: forwards, and back.

Usage:
    with tf.GradientTape() as tape:
        tape.watch(trained)
        output, kept_after, penalties = forward(model, trained, kept, images)
        loss = ... + penalty(penalties, dtype)
    gradients = dense_gradients(tape.gradient(loss, trained), trained)

Keras's own ``stateless_call`` forgets what a layer that stands in several places adds to the loss
but for the last of them; here the model is called as a whole, as ``fit`` calls it.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

_Tensor = Any


def forward(
    model: keras.Model, trained: Sequence[_Tensor], kept: Sequence[_Tensor], images: _Tensor
) -> tuple[Any, list[_Tensor], list[_Tensor]]:
    """What ``model`` puts out in training, and what its layers add to the loss.

    ``trained`` and ``kept`` are values of its trainable and its other variables; the second of
    the results has the new values of the latter, batch norm's averages among them.
    """
    values = [
        *zip(model.trainable_variables, trained, strict=True),
        *zip(model.non_trainable_variables, kept, strict=True),
    ]
    with keras.StatelessScope(state_mapping=values, collect_losses=True) as scope:
        output = model(images, training=True)
        penalties = model.losses
    return output, [scope.get_current_value(v) for v in model.non_trainable_variables], penalties


def penalty(penalties: Sequence[_Tensor], dtype: str) -> _Tensor:
    """The sum of ``penalties``, regularisers and what layers added to the loss, as Keras sums."""
    return tf.add_n([tf.reduce_sum(tf.cast(each, dtype)) for each in penalties])


def dense_gradients(
    gradients: Sequence[_Tensor | None], sources: Sequence[_Tensor]
) -> list[_Tensor]:
    """``gradients`` by ``sources`` as tensors: of what the loss does not depend on, zeros."""
    return [
        # Of a table in which rows are looked up, the gradient has those rows alone.
        tf.zeros_like(source) if gradient is None else tf.convert_to_tensor(gradient)
        for gradient, source in zip(gradients, sources, strict=True)
    ]
