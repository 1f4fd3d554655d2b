"""Settings of a variant that cannot go together, and which of them to change.

Usage:
    for problem in impossible_settings(variant): ...
"""

import math
from typing import TYPE_CHECKING

from bench.spec.inert_settings import inert_settings
from bench.spec.norm_groups import FEWEST_VALUES, normed_shapes

if TYPE_CHECKING:
    from bench.spec.variant import Variant

_ALL_REDUCES: dict[str, tuple[str, ...]] = {
    "mirrored": ("nccl", "hierarchical_copy", "reduction_to_one_device"),
    "multi_worker": ("ring", "nccl"),
}
"""What TensorFlow's strategies take; whether it then runs is theirs to say."""


def impossible_settings(v: "Variant") -> list[str]:
    """What is wrong with each key taken together with others, in words that name the keys."""
    found = []
    if v.strategy == "one_device" and v.total_replicas > 1:
        found.append(
            f"strategy 'one_device' has one device, not {v.total_replicas}: "
            "set strategy to 'mirrored' or 'multi_worker', or workers and replicas to 1"
        )
    if v.strategy == "mirrored" and v.workers > 1:
        found.append("strategy 'mirrored' has one worker: set strategy to 'multi_worker'")
    found += _fused_batch_norm(v)
    found += _norm_of_too_few_values(v)
    offered = _ALL_REDUCES.get(v.strategy, ())
    if "all_reduce" not in inert_settings(v) and v.all_reduce not in offered:
        found.append(
            f"all_reduce {v.all_reduce!r} is not for strategy {v.strategy!r}: "
            f"set it to one of {', '.join(map(repr, ('auto', *offered)))}"
        )
    if v.global_batch_size % v.total_replicas:
        found.append(
            f"global_batch_size {v.global_batch_size} does not divide among "
            f"{v.total_replicas} replicas: use a multiple of {v.total_replicas}"
        )
    if v.global_batch_size > v.examples:
        found.append(
            f"global_batch_size {v.global_batch_size} is larger than the data "
            f"({v.examples} examples): lower it, or raise examples"
        )
    if v.warmup_epochs >= v.epochs and v.warmup_epochs > 0:
        found.append(
            f"warmup_epochs {v.warmup_epochs} must be below epochs {v.epochs}: "
            "lower it, or raise epochs"
        )
    if max(v.health_epochs, default=0) > v.epochs:
        found.append(
            f"health_epochs {list(v.health_epochs)} goes beyond epochs {v.epochs}: "
            "lower it, raise epochs, or write -1 for the last"
        )
    return found


def _fused_batch_norm(v: "Variant") -> list[str]:
    """What TensorFlow's fused batch norm cannot do."""
    inert, found = inert_settings(v), []
    if "batch_norm" in inert:
        return []
    if v.synchronized and "synchronized" not in inert:
        found.append(
            "batch_norm 'fused' takes no statistics over replicas: "
            "set synchronized to false, or batch_norm to 'keras'"
        )
    if v.precision == "float64":
        found.append(
            "batch_norm 'fused' has no kernel for float64: "
            "set batch_norm to 'keras', or another precision"
        )
    return found


def _norm_of_too_few_values(v: "Variant") -> list[str]:
    """Layers of which a norm would leave nothing to learn from."""
    if v.norm not in ("layer", "group"):
        return []
    few = {k: n for k, shape in normed_shapes(v) if (n := math.prod(shape)) < FEWEST_VALUES}
    return [
        f"norm {v.norm!r} leaves nothing to learn from of a layer of fewer than {FEWEST_VALUES} "
        f"values, {count} here: raise {key}, or set norm to 'none'"
        for key, count in few.items()
    ]
