"""Run a model forwards and backwards with its weights passed as tensors.

Usage:
    with tf.GradientTape() as tape:
        tape.watch(weights)
        output, new_state, penalties = forward(model, weights, state, images)
        loss = ... + penalty(penalties, dtype)
    gradients = dense_gradients(tape.gradient(loss, weights), weights)

The *state* is the model's non-trainable variables, such as batch norm's averages. Keras's own
``stateless_call`` drops the penalties of a layer that is used in several places, except the last
one. Here the model is called as ``fit`` calls it.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

_Tensor = Any


def forward(
    model: keras.Model, weights: Sequence[_Tensor], state: Sequence[_Tensor], images: _Tensor
) -> tuple[Any, list[_Tensor], list[_Tensor]]:
    """Return the output of ``model`` in training, its new state, and its layers' penalties.

    ``weights`` and ``state`` are values of its trainable and non-trainable variables.
    """
    values = [
        *zip(model.trainable_variables, weights, strict=True),
        *zip(model.non_trainable_variables, state, strict=True),
    ]
    with keras.StatelessScope(state_mapping=values, collect_losses=True) as scope:
        output = model(images, training=True)
        penalties = model.losses
    return output, [scope.get_current_value(v) for v in model.non_trainable_variables], penalties


def penalty(penalties: Sequence[_Tensor], dtype: str) -> _Tensor:
    """Sum ``penalties``, which regularizers and layers add to the loss, as Keras does."""
    return tf.add_n([tf.reduce_sum(tf.cast(each, dtype)) for each in penalties])


def dense_gradients(
    gradients: Sequence[_Tensor | None], sources: Sequence[_Tensor]
) -> list[_Tensor]:
    """Return ``gradients`` as dense tensors, zeros if the loss does not depend on a source."""
    return [
        # The gradient of an embedding has only the rows that were looked up.
        tf.zeros_like(source) if gradient is None else tf.convert_to_tensor(gradient)
        for gradient, source in zip(gradients, sources, strict=True)
    ]
