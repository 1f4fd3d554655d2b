"""What the norms of a network that is built take their means and deviations over.

Usage:
    norm_sizes(variant, model)      # {"norm_values": [784, 100], "norm_groups": [1, 1]}
"""

import math
from typing import Any

import keras

from bench.spec.variant import Variant

_Layer = Any


def norm_sizes(variant: Variant, model: keras.Model) -> dict[str, Any]:
    """How many values each mean of each norm in ``model`` is taken over, in its own order.

    And in how many groups layer and group norm part an example. Nothing for a network
    without norms.
    """
    found = [counted for layer in model.layers if (counted := _counted(variant, layer))]
    groups = [count for _, count in found if count is not None]
    return {
        **({"norm_values": [values for values, _ in found]} if found else {}),
        **({"norm_groups": groups} if groups else {}),
    }


def _counted(variant: Variant, layer: _Layer) -> tuple[int, int | None] | None:
    """Values of each mean, and groups where examples are normed one by one; None of no norm."""
    if isinstance(layer, keras.layers.BatchNormalization):
        shape = _shape(layer)
        whole = layer.synchronized
        batch = variant.global_batch_size if whole else variant.per_replica_batch_size
        return batch * math.prod(shape) // shape[layer.axis - (layer.axis > 0)], None
    if isinstance(layer, keras.layers.GroupNormalization):
        return math.prod(_shape(layer)) // layer.groups, layer.groups
    if isinstance(layer, keras.layers.LayerNormalization):
        shape = _shape(layer)
        axes = [layer.axis] if isinstance(layer.axis, int) else layer.axis
        return math.prod(shape[axis - (axis > 0)] for axis in axes), 1
    return None


def _shape(layer: _Layer) -> list[int]:
    """Of an example that goes in; what is left open counts as 1."""
    return [size or 1 for size in layer.get_build_config()["input_shape"][1:]]
