"""What layer and group norm take their means and deviations over.

Usage:
    group_count((14, 14, 32))            # 32, of 196 values each
    group_count((64,))                   # 8, of 8 values each
    for key, shape in normed_shapes(variant): ...

Layer norm of a convolution is over all of an example, rows, columns and channels, as Wu and He
describe it (arXiv 1803.08494, section 3): group norm of one group. A norm takes the mean and the
deviation from n values and leaves n - 2 degrees of freedom: of a single value 0 is left, of two
values 1 and -1, whatever they were, and no gradient passes but where the two are close.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.spec.variant import Variant

_MAX_GROUPS = 32
"""Group norm's usual number of groups (Wu and He, arXiv 1803.08494)."""
FEWEST_VALUES = 3
"""The fewest values of which a norm leaves more than their order."""
FEWEST_OF_GROUP = 8
"""The fewest values of a group where there are several: in smaller groups too little of each value
is left for a network to learn as it does without a norm."""


def group_count(shape: Sequence[int]) -> int:
    """The number of groups for an example's output of ``shape``, whose last axis is channels.

    The largest up to 32 that divides the channels and leaves each group ``FEWEST_OF_GROUP`` values
    or more, height x width x channels of an image's; 1 where none does.
    """
    values = math.prod(shape)
    return max((g for g in _divisors(shape[-1]) if values // g >= FEWEST_OF_GROUP), default=1)


def normed_shapes(variant: "Variant") -> Iterator[tuple[str, tuple[int, ...]]]:
    """The shape of each output of ``variant``'s mlp or convnet that a norm stands on.

    Each with the key that it follows from, the input first. Nothing for other workloads: those of
    resnet50 have 64 channels or more, and one's own is known once it is built.
    """
    height, width, channels = variant.example_shape
    if variant.workload == "mlp":
        yield "shape", (height * width * channels,)
    elif variant.workload == "convnet":
        yield "shape", (height, width, channels)
        for filters in variant.filters:
            yield "filters", (height, width, filters)
            height, width = -(-height // 2), -(-width // 2)
    else:
        return
    for units in variant.widths:
        yield "hidden", (units,)


def meant_otherwise(variant: "Variant") -> bool:
    """Whether a record of ``variant`` without ``norm_values`` normalised over something else.

    Layer norm was over the channels of each place alone, and the number of groups was the largest
    divisor up to 32, even where that left a group a single value or a few.
    """
    if variant.norm not in ("layer", "group"):
        return False
    if variant.has_own_workload:
        return True
    if variant.norm == "layer":
        return variant.workload != "mlp"
    shapes = [shape for _, shape in normed_shapes(variant)]
    return any(group_count(shape) != max(_divisors(shape[-1])) for shape in shapes)


def _divisors(channels: int) -> list[int]:
    return [g for g in range(1, _MAX_GROUPS + 1) if channels % g == 0]
