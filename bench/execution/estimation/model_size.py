"""How large a variant's network is, by arithmetic: for estimates before anything has run.

Usage:
    size = model_size(variant)
    6 * size.products * examples           # operations of training on so many examples
"""

import itertools
import math
from dataclasses import dataclass

from bench.spec.variant import Variant

_RESNET50_PLACES = 224 * 224
_RESNET50_PRODUCTS, _RESNET50_OUTPUTS = 4_087_000_000, 11_100_000
"""Of one example of 224 x 224; both grow with the number of places. K. He et al., CVPR 2016,
arXiv 1512.03385, and I. Radosavovic et al., CVPR 2020, arXiv 2003.13678, table 8."""
_RESNET50_WEIGHTS, _RESNET50_FEATURES = 23_500_000, 2048
_RESNET50_CHANNELS = 64
"""Of its first convolution, which halves rows and columns; no later output is larger."""


@dataclass(frozen=True)
class ModelSize:
    """Counts for one example; norms and biases, which hardly add to them, are left out."""

    pixels: int
    """Numbers of an image."""
    products: int
    """Multiplications of one forward pass."""
    parameters: int
    outputs: int
    """Numbers that all dense layers and convolutions put out."""
    largest_output: int
    """Numbers of the largest of these outputs."""
    layers: int
    """Dense layers and convolutions."""


def model_size(variant: Variant) -> ModelSize:
    """The size of ``variant``'s network; one's own counts as a dense net of its ``hidden``."""
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


def _resnet50(places: int, channels: int, classes: int) -> ModelSize:
    last = _RESNET50_FEATURES * classes
    return ModelSize(
        pixels=places * channels,
        products=_RESNET50_PRODUCTS * places // _RESNET50_PLACES + last,
        parameters=_RESNET50_WEIGHTS + last,
        outputs=_RESNET50_OUTPUTS * places // _RESNET50_PLACES,
        largest_output=math.ceil(places / 4) * _RESNET50_CHANNELS,
        layers=54,
    )
