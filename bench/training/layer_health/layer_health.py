"""Examine every layer of a network between epochs: its outputs, gradients and updates.

Usage:
    health = LayerHealth(variant, model, update, replicas, arrays)
    record = health.examine(after_epochs=0)

It runs outside every timed window, on one replica of this process, with weights passed as tensors:
weights, batch norm's averages, the optimizer's state and the loss scale do not change. Every
examination, and every arm that trains on the same images, uses the same examples.
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
from bench.training.layer_health.layer_info import LayerInfo, list_layers
from bench.training.layer_health.layer_stats import (
    BatchStats,
    LayerStats,
    StackedStats,
    combine_batches,
)
from bench.training.layer_health.optimizer_preview import preview_update
from bench.training.loop.gradient_clipping import clip_gradients
from bench.training.loop.gradient_update import GradientUpdate
from bench.training.model.precision import PRECISIONS
from bench.training.replicas import Replicas

BATCHES, BATCH_SIZE = 8, 64
"""Examples of an examination; batches are small, so that they fit in any network's memory."""
DIGITS = 6
"""Significant digits in a record, since a hundred layers have many numbers."""
_SEED = 20260101

_Array = np.ndarray[Any, np.dtype[Any]]
_PerLayer = Sequence[float | None]


def probe_batches(variant: Variant, arrays: Arrays) -> Iterator[tuple[_Array, _Array]]:
    """Yield byte images and labels of each batch: training examples, chosen by a fixed seed.

    They are never augmented copies. If there are fewer than a batch has, all are in one batch.
    """
    examples = min(variant.examples, len(arrays.train_images))
    size = min(BATCH_SIZE, examples)
    count = min(BATCHES, examples // size)
    shuffled = np.random.Generator(np.random.PCG64(_SEED)).permutation(examples)
    for rows in shuffled[: count * size].reshape(count, size):
        yield arrays.train_images[rows], arrays.train_labels[rows]


class LayerHealth:
    """Examines one model any number of times; nothing is computed before the first time."""

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
        self._weights, self._state = model.trainable_variables, model.non_trainable_variables

    @functools.cached_property
    def _layers(self) -> tuple[LayerInfo, ...]:
        return list_layers(self._model)

    @functools.cached_property
    def _layer_stats(self) -> LayerStats:
        return LayerStats(self._model, self._layers)

    @np.errstate(all="ignore")  # the record shows what overflows
    def examine(self, after_epochs: int) -> HealthRecord:
        """Return the current health of every layer."""
        weights, state = self._values(self._weights), self._values(self._state)
        scale = float(self._update.loss_factor())
        stats = self._stats(weights, state, scale)
        overflow = [~np.isfinite(g) for g in stats.gradients]
        # As in training, where a step that overflows is skipped, and halves the scale.
        while scale > 1.0 and not all(np.isfinite(g).all() for g in stats.gradients):
            scale /= 2.0
            stats = self._stats(weights, state, scale)
        measures = {
            **self._output_measures(stats),
            **self._weight_measures(weights, stats.gradients),
            **self._drift_measures(state, stats),
            "overflow_fraction": self._by_layer(_fraction, overflow),
        }
        return HealthRecord(
            after_epochs=after_epochs,
            kind=tuple(layer.kind for layer in self._layers),
            depth=tuple(layer.depth for layer in self._layers),
            **{name: tuple(map(_rounded, values)) for name, values in measures.items()},
        )

    def _values(self, variables: Iterable[Any]) -> list[Any]:
        """Return the values on the first replica of this process."""
        return [tf.convert_to_tensor(self._replicas.first(v.value)) for v in variables]

    def _stats(self, weights: Sequence[Any], state: Sequence[Any], scale: float) -> StackedStats:
        dtype, factor = PRECISIONS[self._variant.precision].dtype, tf.constant(scale)

        def batch_stats(images: _Array, labels: _Array) -> BatchStats:
            pixels = to_unit_range(tf.constant(images), dtype)
            return self._layer_stats(weights, state, factor, pixels, tf.constant(labels, tf.int64))

        batches = probe_batches(self._variant, self._arrays)
        return combine_batches(batch_stats(*batch) for batch in batches)

    def _output_measures(self, stats: StackedStats) -> dict[str, _PerLayer]:
        saturated, dead = iter(stats.saturated), iter(stats.dead)
        # A fraction of outputs that are NaN is NaN.
        nans = np.where(np.isnan(stats.moments[:, 0]), math.nan, 0.0).tolist()
        layers = list(zip(self._layers, nans, strict=True))
        return {
            "output_mean": stats.moments[:, 0].tolist(),
            "output_variance": stats.moments[:, 1].tolist(),
            "output_gradient_variance": stats.moments[:, 3].tolist(),
            "saturated_fraction": [
                next(saturated) + nan if layer.bounds else None for layer, nan in layers
            ],
            "dead_fraction": [next(dead) + nan if layer.can_die else None for layer, nan in layers],
        }

    def _weight_measures(
        self, weights: Sequence[Any], gradients: Sequence[_Array]
    ) -> dict[str, _PerLayer]:
        kind, threshold = self._variant.clip, self._variant.clip_threshold
        clipped, _ = clip_gradients(list(map(tf.constant, gradients)), kind, threshold)
        changed = [(c.numpy() != g)[g != 0.0] for c, g in zip(clipped, gradients, strict=True)]
        updates = preview_update(
            self._variant, self._update.optimizer, weights, clipped, self._replicas
        )
        update_norms = self._by_layer(_norm, updates)
        weight_norms = self._by_layer(_norm, [w.numpy() for w in weights])
        fractions = self._by_layer(_fraction, changed)
        return {
            "gradient_norm": self._by_layer(_norm, gradients),
            "update_ratio": [_ratio(u, w) for u, w in zip(update_norms, weight_norms, strict=True)],
            "clipped_fraction": fractions if kind != "none" else [None] * len(fractions),
        }

    def _drift_measures(self, state: Sequence[Any], stats: StackedStats) -> dict[str, _PerLayer]:
        """Return how far batch norm's moving averages are from its current input."""
        values = {id(v): s.numpy() for v, s in zip(self._state, state, strict=True)}
        channels = iter(stats.channels)
        drifts = [
            _drift(info.layer, values, next(channels)) if info.is_batch_norm else (None, None)
            for info in self._layers
        ]
        return {
            "moving_mean_drift": [mean_drift for mean_drift, _ in drifts],
            "moving_variance_drift": [variance_drift for _, variance_drift in drifts],
        }

    def _by_layer(
        self, measure: Callable[[_Array], float | None], arrays: Sequence[_Array]
    ) -> list[float | None]:
        """Apply ``measure`` to all numbers of each layer's weights; None if it has none.

        ``arrays`` has one array for each weight of the model.
        """
        by_id = {id(v): a for v, a in zip(self._weights, arrays, strict=True)}
        of_layers = (
            [by_id[id(v)].ravel() for v in info.layer.trainable_variables] for info in self._layers
        )
        return [measure(np.concatenate(parts)) if parts else None for parts in of_layers]


def _drift(layer: Any, values: dict[int, _Array], channels: _Array) -> tuple[float, float]:
    """Return root mean squares over channels: of means (in deviations), of log variances."""
    mean, variance = channels[:, 0], channels[:, 1] + layer.epsilon
    moving_mean = values[id(layer.moving_mean)]
    moving_variance = values[id(layer.moving_variance)]
    log_ratio = np.log((moving_variance + layer.epsilon) / variance)
    return _rms((moving_mean - mean) / np.sqrt(variance)), _rms(log_ratio)


def _rms(values: _Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _norm(values: _Array) -> float:
    # Not np.linalg.norm: its BLAS threads wait for more work by spinning for about 30 ms, and
    # would take cores from the first steps of the next epoch.
    return float(np.sqrt(np.sum(np.square(values.astype(np.float64)))))


def _fraction(flags: _Array) -> float:
    return float(flags.mean()) if flags.size else 0.0


def _ratio(update_norm: float | None, weight_norm: float | None) -> float | None:
    """Return None if there are no weights, or all are 0."""
    return update_norm / weight_norm if update_norm is not None and weight_norm else None


def _rounded(value: float | None) -> float | None:
    """Round ``value`` to ``DIGITS``; infinity if it is not finite."""
    if value is None:
        return None
    return float(f"{value:.{DIGITS - 1}e}") if np.isfinite(value) else math.inf
