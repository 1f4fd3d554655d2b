"""Groups of axes, from the metadata of each (``bench.spec.axis_metadata.Axis``).

Usage:
    settings = [name for name in Variant.model_fields if name not in OBSERVATION_AXES]
"""

from typing import Any

from bench.spec.axes import AXES, VariantAxes

LATER_AXES: dict[str, Any] = {
    name: field.default
    for name, field in VariantAxes.model_fields.items()
    if not field.is_required()
}
"""Axes that records of this schema may lack, each with the value that held before it existed."""

BATCH_SIZES = frozenset({"global_batch_size", "per_replica_batch_size"})
"""Two ways to set the batch size."""

OBSERVATION_AXES = frozenset(name for name, axis in AXES.items() if axis.observes)
"""Axes that only choose what is measured."""

LENGTH_AXES = frozenset(name for name, axis in AXES.items() if axis.sets_length)
"""Axes that only say how long a trial trains; they never affect the time of an epoch."""

NETWORK_AXES = tuple(name for name, axis in AXES.items() if axis.builds_network)
"""Axes that act only if the network is built with them."""

KERNEL_AXES = frozenset(
    name
    for name, axis in AXES.items()
    if not (axis.keeps_kernels or axis.sets_length or axis.observes)
)
"""Axes on which it depends which kernels TensorFlow runs."""

FOLLOWS_REPLICAS = frozenset(name for name, axis in AXES.items() if axis.follows_replicas)
"""Axes that a suite may change with the number of replicas in one and the same experiment."""

SCALED_AXES = frozenset(name for name, axis in AXES.items() if axis.scaling == "compared")
"""Axes that a comparison of scaling is about."""

FREE_IN_SCALING = frozenset(name for name, axis in AXES.items() if axis.scaling != "fixed")
"""Axes in which a variant may differ from the baseline of its scaling."""
