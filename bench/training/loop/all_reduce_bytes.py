"""How much a step exchanges between replicas, counted on its shapes, not timed.

Usage:
    reduced_bytes_per_step(variant, model)
"""

import math
from collections.abc import Sequence
from typing import Any

import keras

from bench.spec.variant import Variant
from bench.training.model.precision import PRECISIONS

_ITEM_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}


def reduced_bytes_per_step(variant: Variant, model: keras.Model) -> int:
    """Bytes that each replica gives to be summed over all replicas in one step.

    Every gradient in its variable's dtype, the loss and the number of correct answers, and
    what synchronized batch norm sums. 0 where nothing is exchanged. What then travels hangs
    on the algorithm: with a ring over n replicas each sends 2 (n - 1) / n times as much
    (Patarasuk and Yuan, J. Parallel Distrib. Comput. 69, 2009).
    """
    if variant.total_replicas == 1 or variant.communication == "none":
        return 0
    item = _ITEM_BYTES[PRECISIONS[variant.precision].dtype]
    return _bytes_of(model.trainable_variables) + 2 * item + _statistics(model) * item


def _statistics(model: keras.Model) -> int:
    """Numbers that synchronized batch norm sums, forwards and backwards.

    Forwards the sum, the sum of squares and the count of each channel; backwards the
    gradients of the first two, save before the first trained layer, where none is needed.
    """
    total, trained_before = 0, False
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.synchronized:
            channels = math.prod(layer.moving_mean.shape)
            total += channels * (5 if trained_before else 3)
        trained_before = trained_before or bool(layer.trainable_variables)
    return total


def _bytes_of(variables: Sequence[Any]) -> int:
    return sum(math.prod(v.shape) * _ITEM_BYTES[v.dtype] for v in variables)
