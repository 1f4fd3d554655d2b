"""Compute statistics of every layer on a batch, in one compiled call, and combine batches.

Usage:
    layer_stats = LayerStats(model, layers)    # from list_layers(model)
    batch_stats = [layer_stats(weights, state, scale, images, labels) for images, labels in batches]
    stats = combine_batches(batch_stats)

The passes run as in training (batch norm uses the statistics of its batch), with weights passed as
tensors, so nothing changes. Sums are in float64, which can represent the square of any float32, so
that exploding and vanishing norms are still measured.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from bench.training.layer_health.layer_info import NEAR, LayerInfo
from bench.training.loop.model_passes import dense_gradients, forward, penalty

_Tensor = Any
_Array = np.ndarray[Any, np.dtype[np.float64]]


class BatchStats(NamedTuple):
    """The statistics of a batch that ``LayerStats`` returns."""

    moments: _Tensor
    """(layers, 4): mean and variance of the outputs, and of their gradients."""
    saturated: tuple[_Tensor, ...]
    """For each layer that can saturate, the fraction of saturated outputs."""
    alive: tuple[_Tensor, ...]
    """For each layer that can die, whether each unit is nonzero for any example."""
    channels: tuple[_Tensor, ...]
    """For each batch norm, (2, channels): mean and variance of its input."""
    gradients: tuple[_Tensor, ...]
    """Gradients of the batch's mean loss by each weight."""


@dataclass(frozen=True)
class StackedStats:
    """The statistics of several batches of one size, as arrays."""

    moments: _Array
    saturated: tuple[float, ...]
    dead: tuple[float, ...]
    """For each layer that can die, the fraction of dead units."""
    channels: tuple[_Array, ...]
    gradients: tuple[np.ndarray, ...]
    """Means over the batches, in the variables' dtype."""


class LayerStats:
    """Runs a model's passes and computes ``BatchStats``.

    XLA never compiles them, whatever ``jit`` is: all arms are examined in the same way, and a
    hundred layers are ready in seconds.
    """

    def __init__(self, model: keras.Model, layers: Sequence[LayerInfo]) -> None:
        self._layers = layers
        tensors = _layer_tensors(model)
        outputs = [tensors[info.layer][1] for info in layers]
        norm_inputs = [tensors[info.layer][0] for info in layers if info.is_batch_norm]
        # The model's output comes first, so that Keras finds its layers in its order.
        self._model = keras.Model(model.inputs, [*model.outputs, *outputs, *norm_inputs])
        self._orders = (
            _indices(self._model.trainable_variables, model.trainable_variables),
            _indices(self._model.non_trainable_variables, model.non_trainable_variables),
        )
        self._call = tf.function(self._batch_stats, autograph=False)

    def __call__(self, *arguments: Any) -> BatchStats:
        """Examine one batch: ``weights``, ``state``, ``scale``, ``images``, ``labels``.

        The first two are values of the model's variables, in its order. ``scale`` multiplies
        the loss before it is differentiated, and is divided out again.
        """
        stats: BatchStats = self._call(*arguments)
        return stats

    def _batch_stats(
        self,
        weights: Sequence[_Tensor],
        state: Sequence[_Tensor],
        scale: _Tensor,
        images: _Tensor,
        labels: _Tensor,
    ) -> BatchStats:
        count = len(self._layers)
        with tf.GradientTape() as tape:
            # The images too, so that every layer's output has a gradient.
            tape.watch([*weights, images])
            ordered_weights, ordered_state = self._reorder(weights, state)
            (logits, *rest), _, penalties = forward(
                self._model, ordered_weights, ordered_state, images
            )
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
            if penalties:
                loss += penalty(penalties, loss.dtype)
            scaled = loss * tf.cast(scale, losses.dtype)
        outputs, norm_inputs = rest[:count], rest[count:]
        by_weight, by_output = tape.gradient(scaled, (weights, outputs))
        gradients = dense_gradients(by_weight, weights)
        output_gradients = dense_gradients(by_output, outputs)
        inverse = 1.0 / scale
        wide = [tf.cast(x, tf.float64) for x in outputs]
        moments = [
            tf.stack([*_moments(x), *_moments(tf.cast(g, tf.float64))])
            for x, g in zip(wide, output_gradients, strict=True)
        ]
        # Gradients of an example's loss, not of its share in the mean; variances have the square.
        factor = tf.cast(inverse, tf.float64) * labels.shape[0]
        units = list(zip(wide, self._layers, strict=True))
        return BatchStats(
            moments=tf.stack(moments) * tf.stack([1.0, 1.0, factor, factor * factor]),
            saturated=tuple(_saturated(x, info.bounds) for x, info in units if info.bounds),
            alive=tuple(_alive(x) for x, info in units if info.can_die),
            channels=tuple(_by_channel(tf.cast(x, tf.float64)) for x in norm_inputs),
            gradients=tuple(g * tf.cast(inverse, g.dtype) for g in gradients),
        )

    def _reorder(self, *values: Sequence[_Tensor]) -> list[list[_Tensor]]:
        return [[v[i] for i in order] for v, order in zip(values, self._orders, strict=True)]


def combine_batches(batches: Iterable[BatchStats]) -> StackedStats:
    """Combine ``batches``; variances are over all of them, not the means of theirs."""
    stats: list[BatchStats] = []
    total: list[_Tensor] = []
    for batch in batches:
        # Keep only the sum of the gradients: each set is as large as the network.
        stats.append(batch._replace(gradients=()))
        gradients = list(batch.gradients)
        total = [a + b for a, b in zip(total, gradients, strict=True)] if total else gradients
    moments = np.array([s.moments for s in stats])
    saturated = zip(*(s.saturated for s in stats), strict=True)
    alive = zip(*(s.alive for s in stats), strict=True)
    channels = zip(*(s.channels for s in stats), strict=True)
    return StackedStats(
        moments=np.concatenate([_pooled(moments[..., :2]), _pooled(moments[..., 2:])], axis=1),
        saturated=tuple(float(np.mean(fractions)) for fractions in saturated),
        dead=tuple(1.0 - float(np.any(units, axis=0).mean()) for units in alive),
        channels=tuple(_pooled(np.moveaxis(np.array(c), 1, -1)) for c in channels),
        gradients=tuple(g.numpy() / len(stats) for g in total),
    )


def _pooled(moments: _Array) -> _Array:
    """Return mean and variance over batches (first axis), from theirs (last axis)."""
    means, variances = moments[..., 0], moments[..., 1]
    return np.stack([means.mean(axis=0), variances.mean(axis=0) + means.var(axis=0)], axis=-1)


def _layer_tensors(model: keras.Model) -> dict[Any, tuple[_Tensor, _Tensor]]:
    """Return the first input and the output of each operation in the graph that ``model`` runs.

    ``layer.output`` may belong to another graph: Sequential makes a new one for each added layer.
    """
    tensors: dict[Any, tuple[_Tensor, _Tensor]] = {}
    pending, seen = list(model.outputs), set()
    while pending:
        output = pending.pop()
        # Private, but Keras itself walks a graph in this way.
        operation, number, _ = output._keras_history
        inputs = operation._inbound_nodes[number].input_tensors
        if (operation, number) not in seen and inputs:
            # A layer may be used in several places.
            seen.add((operation, number))
            tensors.setdefault(operation, (inputs[0], output))
            pending += inputs
    return tensors


def _indices(variables: Sequence[Any], ordered: Sequence[Any]) -> list[int]:
    """Return the index of each of ``variables`` in ``ordered``."""
    index = {id(variable): i for i, variable in enumerate(ordered)}
    return [index[id(variable)] for variable in variables]


def _moments(x: _Tensor) -> tuple[_Tensor, _Tensor]:
    mean = tf.reduce_mean(x)
    return mean, tf.reduce_mean(tf.math.squared_difference(x, mean))


def _saturated(x: _Tensor, bounds: tuple[float, float]) -> _Tensor:
    low, high = bounds
    near = tf.abs(x - (low + high) / 2) >= (0.5 - NEAR) * (high - low)
    return tf.reduce_mean(tf.cast(near, tf.float64))


def _alive(x: _Tensor) -> _Tensor:
    return tf.reduce_any(tf.not_equal(x, 0.0), axis=list(range(len(x.shape) - 1)))


def _by_channel(x: _Tensor) -> _Tensor:
    axes = list(range(len(x.shape) - 1))
    mean = tf.reduce_mean(x, axes)
    return tf.stack([mean, tf.reduce_mean(tf.math.squared_difference(x, mean), axes)])
