"""Calculate the size of a variant's network, for estimates before anything has run.

Usage:
    size = model_size(variant)
    6 * size.products * examples           # operations of training on that many examples
"""

import itertools
import math
from dataclasses import dataclass

from bench.spec.variant import Variant

_RESNET50_POSITIONS = 224 * 224
_RESNET50_PRODUCTS, _RESNET50_OUTPUTS = 4_087_000_000, 11_100_000
"""For one example of 224 x 224; both are proportional to the number of positions. K. He et al.,
CVPR 2016, arXiv 1512.03385, and I. Radosavovic et al., CVPR 2020, arXiv 2003.13678, table 8."""
_RESNET50_WEIGHTS, _RESNET50_FEATURES = 23_500_000, 2048
_RESNET50_CHANNELS = 64
"""Channels of its first convolution, which halves rows and columns; no later output is larger."""


@dataclass(frozen=True)
class ModelSize:
    """Counts for one example, without the small contributions of norms and biases."""

    pixels: int
    """Numbers in an image."""
    products: int
    """Multiplications in one forward pass."""
    parameters: int
    outputs: int
    """Numbers in the outputs of all dense layers and convolutions."""
    largest_output: int
    """Numbers in the largest of these outputs."""
    layers: int
    """How many dense layers and convolutions there are."""


def model_size(variant: Variant) -> ModelSize:
    """Return the size of ``variant``'s network; a custom one counts as a net of its ``hidden``."""
    height, width, channels = variant.example_shape
    if variant.workload == "resnet50":
        return _resnet50(height * width, channels, variant.classes)
    pixels = height * width * channels
    filters = variant.filters if variant.workload == "convnet" else ()
    products, parameters, outputs = 0, 0, [0]
    for wider in filters:
        weights = 9 * channels * wider
        products += weights * height * width
        parameters += weights
        outputs.append(height * width * wider)
        height, width, channels = -(-height // 2), -(-width // 2), wider
    dense = [height * width * channels, *variant.widths, variant.classes]
    weights = sum(a * b for a, b in itertools.pairwise(dense))
    outputs += dense[1:]
    return ModelSize(
        pixels=pixels,
        products=products + weights,
        parameters=parameters + weights,
        outputs=sum(outputs),
        largest_output=max(outputs),
        layers=len(outputs) - 1,
    )


def _resnet50(positions: int, channels: int, classes: int) -> ModelSize:
    last = _RESNET50_FEATURES * classes
    return ModelSize(
        pixels=positions * channels,
        products=_RESNET50_PRODUCTS * positions // _RESNET50_POSITIONS + last,
        parameters=_RESNET50_WEIGHTS + last,
        outputs=_RESNET50_OUTPUTS * positions // _RESNET50_POSITIONS,
        largest_output=math.ceil(positions / 4) * _RESNET50_CHANNELS,
        layers=54,
    )
