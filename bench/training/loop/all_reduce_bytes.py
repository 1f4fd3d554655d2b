"""Count the bytes that a step sums over replicas, from shapes.

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
    """Return the bytes that each replica contributes to the all-reduce of one step.

    These are every gradient in its variable's dtype, the loss, the number of correct answers, and
    the sums of synchronized batch norm; 0 if nothing is summed over replicas. The traffic depends
    on the algorithm: with a ring over n replicas, each sends 2 (n - 1) / n times as much (Patarasuk
    and Yuan, J. Parallel Distrib. Comput. 69, 2009).
    """
    if not variant.sums_over_replicas:
        return 0
    item = _ITEM_BYTES[PRECISIONS[variant.precision].dtype]
    return _bytes_of(model.trainable_variables) + 2 * item + _batch_norm_sums(model) * item


def _batch_norm_sums(model: keras.Model) -> int:
    """Count the numbers that synchronized batch norm sums, forwards and backwards.

    Forwards, these are the sum, the sum of squares and the count of each channel. Backwards,
    they are the gradients of the first two, except before the first trainable layer.
    """
    total, trainable_before = 0, False
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.synchronized:
            channels = math.prod(layer.moving_mean.shape)
            total += channels * (5 if trainable_before else 3)
        trainable_before = trainable_before or bool(layer.trainable_variables)
    return total


def _bytes_of(variables: Sequence[Any]) -> int:
    return sum(math.prod(v.shape) * _ITEM_BYTES[v.dtype] for v in variables)
