"""The values over which layer and group norm take their means and deviations.

Usage:
    group_count((14, 14, 32))            # 32, of 196 values each
    group_count((64,))                   # 8, of 8 values each
    for key, shape in normed_shapes(variant): ...

Layer norm of a convolution is over all of an example (rows, columns and channels), as Wu and He
describe it (arXiv 1803.08494, section 3): group norm of one group. A norm takes the mean and the
deviation from n values and leaves n - 2 degrees of freedom. A single value always becomes 0, and
two values become 1 and -1, whatever they were; no gradient passes unless the two are close.
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
FEWEST_GROUP_VALUES = 8
"""The fewest values of a group if there are several groups: smaller groups keep too little of each
value for a network to learn as it does without a norm."""


def group_count(shape: Sequence[int]) -> int:
    """Return the number of groups for one example's output of ``shape``, channels last.

    It is the largest number up to 32 that divides the channels and leaves each group at least
    ``FEWEST_GROUP_VALUES`` values (height x width x channels for an image), or 1.
    """
    values = math.prod(shape)
    return max((g for g in _divisors(shape[-1]) if values // g >= FEWEST_GROUP_VALUES), default=1)


def normed_shapes(variant: "Variant") -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the shape of each output that ``variant``'s mlp or convnet normalizes, input first.

    Each comes with the key that decides it. Other workloads yield nothing: resnet50 has at least
    64 channels everywhere, and a custom workload is known only once it is built.
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


def had_other_groups(variant: "Variant") -> bool:
    """Return whether an older record of ``variant``, without ``norm_values``, used other groups.

    Layer norm was over the channels of each position, and the number of groups was the largest
    divisor up to 32, even if that left a group only one value or a few.
    """
    if variant.norm not in ("layer", "group"):
        return False
    if variant.has_custom_workload:
        return True
    if variant.norm == "layer":
        return variant.workload != "mlp"
    shapes = [shape for _, shape in normed_shapes(variant)]
    return any(group_count(shape) != max(_divisors(shape[-1])) for shape in shapes)


def _divisors(channels: int) -> list[int]:
    return [g for g in range(1, _MAX_GROUPS + 1) if channels % g == 0]
