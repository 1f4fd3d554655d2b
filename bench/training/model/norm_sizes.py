"""Count the values over which each norm of a network takes its means and deviations.

Usage:
    norm_sizes(variant, model)      # {"norm_values": [784, 100], "norm_groups": [1, 1]}
"""

import math
from typing import Any

import keras

from bench.spec.variant import Variant

_Layer = Any


def norm_sizes(variant: Variant, model: keras.Model) -> dict[str, Any]:
    """Return the number of values in each mean of each norm in ``model``, in its order.

    For layer and group norm, also return the groups into which they divide an example. The result
    is empty for a network without norms.
    """
    sizes = [size for layer in model.layers if (size := _norm_size(variant, layer))]
    groups = [count for _, count in sizes if count is not None]
    return {
        **({"norm_values": [values for values, _ in sizes]} if sizes else {}),
        **({"norm_groups": groups} if groups else {}),
    }


def _norm_size(variant: Variant, layer: _Layer) -> tuple[int, int | None] | None:
    """Return the values of each mean, and for layer and group norm the groups; None if no norm."""
    if isinstance(layer, keras.layers.BatchNormalization):
        shape = _shape(layer)
        batch = variant.global_batch_size if layer.synchronized else variant.per_replica_batch_size
        return batch * math.prod(shape) // shape[layer.axis - (layer.axis > 0)], None
    if isinstance(layer, keras.layers.GroupNormalization):
        return math.prod(_shape(layer)) // layer.groups, layer.groups
    if isinstance(layer, keras.layers.LayerNormalization):
        shape = _shape(layer)
        axes = [layer.axis] if isinstance(layer.axis, int) else layer.axis
        return math.prod(shape[axis - (axis > 0)] for axis in axes), 1
    return None


def _shape(layer: _Layer) -> list[int]:
    """Return the shape of an input example; an unknown size counts as 1."""
    return [size or 1 for size in layer.get_build_config()["input_shape"][1:]]
