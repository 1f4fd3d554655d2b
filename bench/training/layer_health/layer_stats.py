"""What a look at every layer takes of one batch, in one compiled call, and of all put together.

Usage:
    vitals = LayerStats(model, anatomy(model))
    of_batches = [vitals(trained, kept, scale, images, labels) for images, labels in batches]
    signs = combine_batches(of_batches)

Forwards and backwards run as in training (batch norm takes the statistics of its batch), on
weights given as tensors: nothing is changed. Sums are in float64, in which the square of any
float32 has a place, so that an exploding or vanishing norm is told as far as it goes.
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
    """What ``LayerStats`` gives of a batch."""

    moments: _Tensor
    """(layers, 4): mean and mean square deviation of outputs, and of their gradients."""
    saturated: tuple[_Tensor, ...]
    """Of each layer that saturates, the part of its outputs."""
    alive: tuple[_Tensor, ...]
    """Of each layer that can die, whether each unit is other than 0 for any example."""
    channels: tuple[_Tensor, ...]
    """Of each batch norm, (2, channels): mean and mean square deviation of its input."""
    gradients: tuple[_Tensor, ...]
    """Of the batch's mean loss, by each trained variable."""


@dataclass(frozen=True)
class StackedStats:
    """The same over batches of one size, as arrays."""

    moments: _Array
    saturated: tuple[float, ...]
    dead: tuple[float, ...]
    """Of each layer that can die, the part of its units."""
    channels: tuple[_Array, ...]
    gradients: tuple[np.ndarray, ...]
    """Means over the batches, in the variables' dtype."""


class LayerStats:
    """A model's passes that give what ``BatchStats`` holds.

    Never compiled by XLA, whatever ``jit`` is: all arms are looked at in the same way, and a
    hundred layers are ready in seconds.
    """

    def __init__(self, model: keras.Model, parts: Sequence[LayerInfo]) -> None:
        self._parts = parts
        ends = _ends(model)
        outputs = [ends[part.layer][1] for part in parts]
        normed = [ends[part.layer][0] for part in parts if part.is_batch_norm]
        # The model's own output first, so that its layers are found in its own order.
        self._model = keras.Model(model.inputs, [*model.outputs, *outputs, *normed])
        self._orders = (
            _order(self._model.trainable_variables, model.trainable_variables),
            _order(self._model.non_trainable_variables, model.non_trainable_variables),
        )
        self._call = tf.function(self._look, autograph=False)

    def __call__(self, *arguments: Any) -> BatchStats:
        """Look at one batch: ``trained``, ``kept``, ``scale``, ``images``, ``labels``.

        The first two are values of the model's variables, in its order. ``scale`` multiplies
        the loss before it is differentiated, and is taken out again.
        """
        found: BatchStats = self._call(*arguments)
        return found

    def _look(
        self,
        trained: Sequence[_Tensor],
        kept: Sequence[_Tensor],
        scale: _Tensor,
        images: _Tensor,
        labels: _Tensor,
    ) -> BatchStats:
        count = len(self._parts)
        with tf.GradientTape() as tape:
            # The images too, so that every layer's output has a gradient.
            tape.watch([*trained, images])
            ordered, kept_ordered = self._ordered(trained, kept)
            (logits, *rest), _, penalties = forward(self._model, ordered, kept_ordered, images)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
            if penalties:
                loss += penalty(penalties, loss.dtype)
            scaled = loss * tf.cast(scale, losses.dtype)
        outputs, normed = rest[:count], rest[count:]
        found, found_by_output = tape.gradient(scaled, (trained, outputs))
        gradients, by_output = (
            dense_gradients(found, trained),
            dense_gradients(found_by_output, outputs),
        )
        inverse = 1.0 / scale
        wide = [tf.cast(x, tf.float64) for x in outputs]
        moments = [
            tf.stack([*_moments(x), *_moments(tf.cast(g, tf.float64))])
            for x, g in zip(wide, by_output, strict=True)
        ]
        # Of an example's own loss, and not of its part in the mean: of variances the square.
        own = tf.cast(inverse, tf.float64) * labels.shape[0]
        units = list(zip(wide, self._parts, strict=True))
        return BatchStats(
            moments=tf.stack(moments) * tf.stack([1.0, 1.0, own, own * own]),
            saturated=tuple(_saturated(x, p.bounds) for x, p in units if p.bounds),
            alive=tuple(_alive(x) for x, p in units if p.dies),
            channels=tuple(_by_channel(tf.cast(x, tf.float64)) for x in normed),
            gradients=tuple(g * tf.cast(inverse, g.dtype) for g in gradients),
        )

    def _ordered(self, *values: Sequence[_Tensor]) -> list[list[_Tensor]]:
        return [[v[i] for i in order] for v, order in zip(values, self._orders, strict=True)]


def combine_batches(batches: Iterable[BatchStats]) -> StackedStats:
    """All ``batches`` as one; variances are those over all of them, not their means."""
    found: list[BatchStats] = []
    total: list[_Tensor] = []
    for batch in batches:
        # Of many gradients as large as the network, their sum alone is kept.
        found.append(batch._replace(gradients=()))
        own = list(batch.gradients)
        total = [a + b for a, b in zip(total, own, strict=True)] if total else own
    moments = np.array([b.moments for b in found])
    saturated = zip(*(b.saturated for b in found), strict=True)
    alive = zip(*(b.alive for b in found), strict=True)
    channels = zip(*(b.channels for b in found), strict=True)
    return StackedStats(
        moments=np.concatenate([_pooled(moments[..., :2]), _pooled(moments[..., 2:])], axis=1),
        saturated=tuple(float(np.mean(same)) for same in saturated),
        dead=tuple(1.0 - float(np.any(units, axis=0).mean()) for units in alive),
        channels=tuple(_pooled(np.moveaxis(np.array(c), 1, -1)) for c in channels),
        gradients=tuple(g.numpy() / len(found) for g in total),
    )


def _pooled(moments: _Array) -> _Array:
    """Mean and variance over batches (first axis) of means and mean squares (last axis)."""
    means, squares = moments[..., 0], moments[..., 1]
    return np.stack([means.mean(axis=0), squares.mean(axis=0) + means.var(axis=0)], axis=-1)


def _ends(model: keras.Model) -> dict[Any, tuple[_Tensor, _Tensor]]:
    """The first input and the output of each operation in the graph that ``model`` runs.

    ``layer.output`` may be of another: Sequential makes a graph anew for each layer it is given.
    """
    found: dict[Any, tuple[_Tensor, _Tensor]] = {}
    ahead, seen = list(model.outputs), set()
    while ahead:
        output = ahead.pop()
        # Private, and the way in which Keras itself walks a graph.
        operation, number, _ = output._keras_history
        inputs = operation._inbound_nodes[number].input_tensors
        if (operation, number) not in seen and inputs:
            # A layer may stand in several places.
            seen.add((operation, number))
            found.setdefault(operation, (inputs[0], output))
            ahead += inputs
    return found


def _order(variables: Sequence[Any], known: Sequence[Any]) -> list[int]:
    """Where each of ``variables`` stands among the ``known`` ones."""
    place = {id(variable): i for i, variable in enumerate(known)}
    return [place[id(variable)] for variable in variables]


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
