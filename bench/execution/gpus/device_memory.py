"""About how much device memory a variant needs, before it is tried.

Usage:
    needed = memory_need(variant)                # None for a network of one's own
    too_large({"none": variant}, device_bytes=24 * 2**30)

A rough sum, by arithmetic: examples held on the device, weights with gradients and the
optimiser's slots, and outputs kept for the backward pass. What XLA fuses away, what cuDNN takes
to work in and what the driver reserves are not in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.datasets.pool import pool_sizes
from bench.execution.estimation.model_size import model_size
from bench.spec.variant import Variant

USABLE = 0.9
"""Of a device's memory: the rest is the driver's, and of libraries that TensorFlow loads."""
_FASHION_MNIST_IMAGES = 55_000
_EVALUATED = 1000
"""Examples of a batch of the evaluation, where as many are held out."""
_SLOTS = {"momentum": 1, "nesterov": 1, "rmsprop": 1, "adagrad": 1, "adam": 2, "adamw": 2}
_SLOTS["nadam"] = 2
_BYTES = {"float64": 8, "mixed_bfloat16": 2, "mixed_float16": 2}
"""Of a number that a layer puts out; 4 otherwise."""


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes on each device of a variant, in parts."""

    data_bytes: int
    """Training examples; augmented ones take no storage."""
    weights_bytes: int
    """Gradients, and weights with the optimiser's slots."""
    batch_bytes: int
    """What grows with the batch: images and outputs of training, or of evaluation if larger."""

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.data_bytes + self.weights_bytes + self.batch_bytes


def memory_need(variant: Variant) -> MemoryNeed | None:
    """What ``variant`` needs on each of its devices; None for a network of one's own."""
    if variant.has_custom_workload:
        return None
    size = model_size(variant)
    weight_bytes = 8 if variant.precision == "float64" else 4
    output_bytes = _BYTES.get(variant.precision, 4)
    # The backward pass needs each activation, and each norm's input besides; the largest output
    # and its gradient are alive at once.
    kept = (1 if variant.norm == "none" else 2) * size.outputs + 2 * size.largest_output
    trained = variant.per_replica_batch_size * (size.pixels * weight_bytes + kept * output_bytes)
    in_turn = size.pixels * weight_bytes + 2 * size.largest_output * output_bytes
    stored, held_out = _images(variant)
    slots = _SLOTS.get(variant.optimizer, 0)
    return MemoryNeed(
        data_bytes=stored * (size.pixels + 8) if variant.pipeline == "device" else 0,
        weights_bytes=size.parameters * weight_bytes * (2 + slots),
        batch_bytes=max(trained, min(_EVALUATED, held_out) * in_turn),
    )


def too_large(variants: Mapping[str, Variant], device_bytes: int | None) -> dict[str, MemoryNeed]:
    """Those of ``variants`` that are unlikely to fit a device; none where its size is not known."""
    if device_bytes is None:
        return {}
    needs = {name: memory_need(variant) for name, variant in variants.items()}
    usable_bytes = USABLE * device_bytes
    return {name: n for name, n in needs.items() if n is not None and n.total_bytes > usable_bytes}


def _images(variant: Variant) -> tuple[int, int]:
    """Training images that are stored, and those held out for each evaluation."""
    if variant.dataset == "synthetic":
        return pool_sizes(variant.shape, variant.examples)
    return _FASHION_MNIST_IMAGES, _EVALUATED
