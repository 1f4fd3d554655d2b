"""Estimate how much device memory a variant needs before it runs.

Usage:
    need = memory_need(variant)                # None for a custom workload
    too_large({"none": variant}, device_bytes=24 * 2**30)

The estimate is a rough sum of the examples on the device, the weights with gradients and optimizer
slots, and the outputs stored for the backward pass. It ignores what XLA fuses away, cuDNN's
workspace and the driver's reservation.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.datasets.synthetic_sizes import pool_sizes
from bench.execution.estimation.model_size import model_size
from bench.spec.variant import Variant

USABLE = 0.9
"""Share of a device's memory for training; the driver and TensorFlow's libraries use the rest."""
_FASHION_MNIST_IMAGES = 55_000
_EVALUATION_BATCH = 1000
"""Examples in a batch of the evaluation, if as many are held out."""
_SLOTS = {"momentum": 1, "nesterov": 1, "rmsprop": 1, "adagrad": 1, "adam": 2, "adamw": 2}
_SLOTS["nadam"] = 2
_BYTES = {"float64": 8, "mixed_bfloat16": 2, "mixed_float16": 2}
"""Bytes of each number in a layer's output, by precision; 4 otherwise."""


@dataclass(frozen=True)
class MemoryNeed:
    """The bytes that a variant needs on each device, by purpose."""

    data_bytes: int
    """Training examples; augmented ones take no storage."""
    weights_bytes: int
    """Gradients, and weights with the optimizer's slots."""
    batch_bytes: int
    """Images and outputs of a batch, in training or in evaluation, whichever needs more."""

    @property
    def total_bytes(self) -> int:
        """The sum of all parts."""
        return self.data_bytes + self.weights_bytes + self.batch_bytes


def memory_need(variant: Variant) -> MemoryNeed | None:
    """Estimate what ``variant`` needs on each device; None for a custom workload."""
    if variant.has_custom_workload:
        return None
    size = model_size(variant)
    weight_bytes = 8 if variant.precision == "float64" else 4
    output_bytes = _BYTES.get(variant.precision, 4)
    # The backward pass needs each activation, and each norm's input as well. The largest output
    # and its gradient are in memory at the same time.
    outputs = (1 if variant.norm == "none" else 2) * size.outputs + 2 * size.largest_output
    example_bytes = size.pixels * weight_bytes + outputs * output_bytes
    training_bytes = variant.per_replica_batch_size * example_bytes
    evaluated_example_bytes = size.pixels * weight_bytes + 2 * size.largest_output * output_bytes
    stored, held_out = _images(variant)
    slots = _SLOTS.get(variant.optimizer, 0)
    return MemoryNeed(
        data_bytes=stored * (size.pixels + 8) if variant.pipeline == "device" else 0,
        weights_bytes=size.parameters * weight_bytes * (2 + slots),
        batch_bytes=max(training_bytes, min(_EVALUATION_BATCH, held_out) * evaluated_example_bytes),
    )


def too_large(variants: Mapping[str, Variant], device_bytes: int | None) -> dict[str, MemoryNeed]:
    """Return the ``variants`` that are unlikely to fit; none if the device's size is unknown."""
    if device_bytes is None:
        return {}
    needs = {name: memory_need(variant) for name, variant in variants.items()}
    usable_bytes = USABLE * device_bytes
    return {name: n for name, n in needs.items() if n is not None and n.total_bytes > usable_bytes}


def _images(variant: Variant) -> tuple[int, int]:
    """Return how many training images are stored, and how many are held out for evaluation."""
    if variant.dataset == "synthetic":
        return pool_sizes(variant.shape, variant.examples)
    return _FASHION_MNIST_IMAGES, _EVALUATION_BATCH
