"""A rough guess of how long a trial takes, before anything of it has run.

Usage:
    seconds = estimated_trial_s(variant)

Good for "minutes or hours?" and for simulated runs, not for any result. It counts a dense
network's multiplications, and takes its rates from one two-core machine without a GPU.
"""

import itertools
import math

from bench.spec.variant import Variant

START_S = 9.0
"""Process, imports, data, compilation."""

STEP_S = 2.0e-4
FLOPS_PER_S = 2.0e11
_NORM_STEP_S = 2.0e-4
_PIXELS = 28 * 28
_RESNET50_PRODUCTS, _IMAGENET_PIXELS = 4_089_000_000, 224 * 224 * 3
"""Of one ImageNet-shaped example; they grow as the number of pixels does."""


def estimated_trial_s(variant: Variant) -> float:
    """Seconds from a trial's dispatch to its record."""
    return START_S + variant.epochs * estimated_epoch_s(variant)


def estimated_epoch_s(variant: Variant) -> float:
    """Seconds of one epoch of training, as it is run."""
    steps = variant.steps_per_epoch
    layers = len(variant.widths) + 1
    norms = 0 if variant.norm == "none" else layers
    overhead_s = steps * (STEP_S + norms * _NORM_STEP_S / layers)
    # Forward, and backward for weights and for inputs: three products, two operations each.
    examples = steps * variant.per_replica_batch_size
    flops = 6 * _products(variant) * examples
    return overhead_s + flops / FLOPS_PER_S


def _products(variant: Variant) -> int:
    """Multiplications of one forward pass for one example."""
    pixels = math.prod(variant.shape) if variant.dataset == "synthetic" else _PIXELS
    if variant.workload == "convnet":
        return _convolution_products(variant, pixels)
    if variant.workload == "resnet50":
        return _RESNET50_PRODUCTS * pixels // _IMAGENET_PIXELS
    widths = [pixels, *variant.widths, variant.classes]
    return sum(a * b for a, b in itertools.pairwise(widths))


def _convolution_products(variant: Variant, pixels: int) -> int:
    products, channels = 0, 1
    for filters in variant.filters:
        products += 9 * pixels * channels * filters
        pixels, channels = max(1, pixels // 4), filters
    widths = [pixels * channels, *variant.widths, variant.classes]
    return products + sum(a * b for a, b in itertools.pairwise(widths))
