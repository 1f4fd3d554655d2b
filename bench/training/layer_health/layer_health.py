"""A look at every layer of a network between epochs: does what passes through it stay alive?

Usage:
    health = LayerHealth(variant, model, update, replicas, arrays)
    record = health.look(after_epochs=0)

It runs outside every timed window, on one replica of this process, on tensors: weights, batch
norm's averages, the optimiser's state and the loss scale stay as they are. The examples are the
same in every look, and in every arm that trains on the same images.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bench.datasets.arrays import Arrays
from bench.records.health_record import HealthRecord
from bench.spec.variant import Variant
from bench.training.data.examples import to_unit_range
from bench.training.layer_health.layer_info import LayerInfo, layers_of
from bench.training.layer_health.layer_stats import (
    BatchStats,
    LayerStats,
    StackedStats,
    combine_batches,
)
from bench.training.layer_health.optimizer_preview import preview_update
from bench.training.loop.gradient_update import GradientUpdate, clip_gradients
from bench.training.model.precision import PRECISIONS
from bench.training.strategy import Replicas

BATCHES, BATCH_SIZE = 8, 64
"""What is looked at: few examples at once, so that any network that trains has the memory."""
DIGITS = 6
"""Significant digits that a record keeps: a hundred layers make many numbers."""
_SEED = 20260101

_Array = np.ndarray[Any, np.dtype[Any]]
_PerLayer = Sequence[float | None]


def probe_batches(variant: Variant, arrays: Arrays) -> Iterator[tuple[_Array, _Array]]:
    """Byte images and labels of each batch: training examples, chosen by a fixed seed.

    Real ones, no augmented copies; where there are fewer than a batch's, all in one batch.
    """
    examples = min(variant.examples, len(arrays.train_images))
    size = min(BATCH_SIZE, examples)
    count = min(BATCHES, examples // size)
    shuffled = np.random.Generator(np.random.PCG64(_SEED)).permutation(examples)
    for rows in shuffled[: count * size].reshape(count, size):
        yield arrays.train_images[rows], arrays.train_labels[rows]


class LayerHealth:
    """Looks at one model, as often as wanted; costs nothing until it is asked."""

    def __init__(
        self,
        variant: Variant,
        model: keras.Model,
        update: GradientUpdate,
        replicas: Replicas,
        arrays: Arrays,
    ) -> None:
        self._variant, self._model, self._arrays = variant, model, arrays
        self._update, self._replicas = update, replicas
        self._trained, self._kept = model.trainable_variables, model.non_trainable_variables

    @functools.cached_property
    def _parts(self) -> tuple[LayerInfo, ...]:
        return layers_of(self._model)

    @functools.cached_property
    def _vitals(self) -> LayerStats:
        return LayerStats(self._model, self._parts)

    @np.errstate(all="ignore")  # what explodes is told, not warned of
    def look(self, after_epochs: int) -> HealthRecord:
        """Every layer as it is now."""
        trained, kept = self._values(self._trained), self._values(self._kept)
        scale = float(self._update.loss_factor())
        signs = self._signs(trained, kept, scale)
        overflow = [~np.isfinite(g) for g in signs.gradients]
        # As training would: a step that overflows is skipped, and halves the scale.
        while scale > 1.0 and not all(np.isfinite(g).all() for g in signs.gradients):
            scale /= 2.0
            signs = self._signs(trained, kept, scale)
        found = {
            **self._of_outputs(signs),
            **self._of_weights(trained, signs.gradients),
            **self._of_averages(kept, signs),
            "overflow_fraction": self._by_layer(_share, overflow),
        }
        return HealthRecord(
            after_epochs=after_epochs,
            kind=tuple(p.kind for p in self._parts),
            depth=tuple(p.depth for p in self._parts),
            **{name: tuple(map(_plain, values)) for name, values in found.items()},
        )

    def _values(self, variables: Iterable[Any]) -> list[Any]:
        """As the first replica of this process has them."""
        return [tf.convert_to_tensor(self._replicas.first(v.value)) for v in variables]

    def _signs(self, trained: Sequence[Any], kept: Sequence[Any], scale: float) -> StackedStats:
        dtype, factor = PRECISIONS[self._variant.precision].dtype, tf.constant(scale)

        def of(images: _Array, labels: _Array) -> BatchStats:
            pixels = to_unit_range(tf.constant(images), dtype)
            return self._vitals(trained, kept, factor, pixels, tf.constant(labels, tf.int64))

        return combine_batches(of(*batch) for batch in probe_batches(self._variant, self._arrays))

    def _of_outputs(self, signs: StackedStats) -> dict[str, _PerLayer]:
        saturated, dead = iter(signs.saturated), iter(signs.dead)
        # Where outputs are no numbers, no part of them is one.
        lost = np.where(np.isnan(signs.moments[:, 0]), math.nan, 0.0).tolist()
        parts = list(zip(self._parts, lost, strict=True))
        return {
            "output_mean": signs.moments[:, 0].tolist(),
            "output_variance": signs.moments[:, 1].tolist(),
            "output_gradient_variance": signs.moments[:, 3].tolist(),
            "saturated_fraction": [next(saturated) + n if p.bounds else None for p, n in parts],
            "dead_fraction": [next(dead) + n if p.dies else None for p, n in parts],
        }

    def _of_weights(
        self, trained: Sequence[Any], gradients: Sequence[_Array]
    ) -> dict[str, _PerLayer]:
        kind, threshold = self._variant.clip, self._variant.clip_threshold
        clipped, _ = clip_gradients(list(map(tf.constant, gradients)), kind, threshold)
        acted = [(c.numpy() != g)[g != 0.0] for c, g in zip(clipped, gradients, strict=True)]
        changes = preview_update(
            self._variant, self._update.optimizer, trained, clipped, self._replicas
        )
        steps = self._by_layer(_norm, changes)
        sizes = self._by_layer(_norm, [w.numpy() for w in trained])
        shares = self._by_layer(_share, acted)
        return {
            "gradient_norm": self._by_layer(_norm, gradients),
            "update_ratio": [_ratio(s, w) for s, w in zip(steps, sizes, strict=True)],
            "clipped_fraction": shares if kind != "none" else [None] * len(shares),
        }

    def _of_averages(self, kept: Sequence[Any], signs: StackedStats) -> dict[str, _PerLayer]:
        """How far batch norm's moving averages are from what comes in now."""
        value = {id(v): k.numpy() for v, k in zip(self._kept, kept, strict=True)}
        channels = iter(signs.channels)
        drifts = [
            _drift(p.layer, value, next(channels)) if p.is_batch_norm else (None, None)
            for p in self._parts
        ]
        return {
            "moving_mean_drift": [of_mean for of_mean, _ in drifts],
            "moving_variance_drift": [of_variance for _, of_variance in drifts],
        }

    def _by_layer(
        self, measure: Callable[[_Array], float | None], of_variables: Sequence[_Array]
    ) -> list[float | None]:
        """``measure`` of all numbers of a layer's own variables; None where it has none."""
        known = {id(v): a for v, a in zip(self._trained, of_variables, strict=True)}
        own = ([known[id(v)].ravel() for v in p.layer.trainable_variables] for p in self._parts)
        return [measure(np.concatenate(arrays)) if arrays else None for arrays in own]


def _drift(layer: Any, value: dict[int, _Array], channels: _Array) -> tuple[float, float]:
    """Root mean squares over the channels; of means in deviations, of variances in logarithms."""
    mean, variance = channels[:, 0], channels[:, 1] + layer.epsilon
    moving_mean, moving_variance = value[id(layer.moving_mean)], value[id(layer.moving_variance)]
    of_variance = np.log((moving_variance + layer.epsilon) / variance)
    return _rms((moving_mean - mean) / np.sqrt(variance)), _rms(of_variance)


def _rms(values: _Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _norm(values: _Array) -> float:
    # Not by np.linalg.norm: the threads of its BLAS wait for more by spinning, for about 30 ms,
    # which the first steps of the next epoch would lack.
    return float(np.sqrt(np.sum(np.square(values.astype(np.float64)))))


def _share(flags: _Array) -> float:
    return float(flags.mean()) if flags.size else 0.0


def _ratio(change: float | None, size: float | None) -> float | None:
    """None where there are no weights, or all of them are 0."""
    return change / size if change is not None and size else None


def _plain(value: float | None) -> float | None:
    """A few digits of ``value``; infinity where it is no finite number."""
    if value is None:
        return None
    return float(f"{value:.{DIGITS - 1}e}") if np.isfinite(value) else math.inf
