"""Rules about the settings of a variant taken together.

Usage:
    inactive_settings(variant)["clip_threshold"]    # "clip is none"
    for problem in contradictions(variant): ...
"""

import math
from typing import TYPE_CHECKING

from bench.spec.axis_metadata import axis_of
from bench.spec.norm_groups import FEWEST_VALUES, normed_shapes

if TYPE_CHECKING:
    from bench.spec.variant import Variant

_ALL_REDUCES: dict[str, tuple[str, ...]] = {
    "mirrored": ("nccl", "hierarchical_copy", "reduction_to_one_device"),
    "multi_worker": ("ring", "nccl"),
}
"""What TensorFlow's strategies accept; TensorFlow decides whether it then runs."""


def inactive_settings(variant: "Variant") -> dict[str, str]:
    """Return the axes of ``variant`` that have no effect on its training, each with the reason.

    A variant's id leaves them out. The reason completes "since ...".
    """
    fields = type(variant).model_fields.items()
    return {name: text for name, field in fields if (text := axis_of(field).inactive(variant))}


def contradictions(variant: "Variant") -> list[str]:
    """Return what is wrong with settings taken together: which keys, and how to change them."""
    return [
        *_replica_problems(variant),
        *_fused_batch_norm_problems(variant),
        *_small_norm_problems(variant),
        *_all_reduce_problems(variant),
        *_size_problems(variant),
    ]


def _replica_problems(v: "Variant") -> list[str]:
    problems = []
    if v.strategy == "one_device" and v.total_replicas > 1:
        problems.append(
            f"strategy 'one_device' has one device, not {v.total_replicas}: "
            "set strategy to 'mirrored' or 'multi_worker', or workers and replicas to 1"
        )
    if v.strategy == "mirrored" and v.workers > 1:
        problems.append("strategy 'mirrored' has one worker: set strategy to 'multi_worker'")
    return problems


def _fused_batch_norm_problems(v: "Variant") -> list[str]:
    """What TensorFlow's fused batch norm cannot do."""
    inactive = inactive_settings(v)
    if "batch_norm" in inactive:
        return []
    problems = []
    if v.synchronized and "synchronized" not in inactive:
        problems.append(
            "batch_norm 'fused' takes no statistics over replicas: "
            "set synchronized to false, or batch_norm to 'keras'"
        )
    if v.precision == "float64":
        problems.append(
            "batch_norm 'fused' has no kernel for float64: "
            "set batch_norm to 'keras', or another precision"
        )
    return problems


def _small_norm_problems(v: "Variant") -> list[str]:
    """Layers so small that a norm would leave nothing to learn from."""
    if v.norm not in ("layer", "group"):
        return []
    counts = {
        key: count for key, shape in normed_shapes(v) if (count := math.prod(shape)) < FEWEST_VALUES
    }
    return [
        f"norm {v.norm!r} leaves nothing to learn from in a layer of fewer than {FEWEST_VALUES} "
        f"values, {count} here: raise {key}, or set norm to 'none'"
        for key, count in counts.items()
    ]


def _all_reduce_problems(v: "Variant") -> list[str]:
    choices = _ALL_REDUCES.get(v.strategy, ())
    if "all_reduce" in inactive_settings(v) or v.all_reduce in choices:
        return []
    return [
        f"strategy {v.strategy!r} has no all_reduce {v.all_reduce!r}: "
        f"set it to one of {', '.join(map(repr, ('auto', *choices)))}"
    ]


def _size_problems(v: "Variant") -> list[str]:
    """Batches that do not divide or fit, and epochs out of range."""
    problems = []
    if v.global_batch_size % v.total_replicas:
        problems.append(
            f"global_batch_size {v.global_batch_size} cannot be divided equally among "
            f"{v.total_replicas} replicas: use a multiple of {v.total_replicas}"
        )
    if v.global_batch_size > v.examples:
        problems.append(
            f"global_batch_size {v.global_batch_size} is larger than the data "
            f"({v.examples} examples): lower it, or raise examples"
        )
    if v.warmup_epochs >= v.epochs and v.warmup_epochs > 0:
        problems.append(
            f"warmup_epochs {v.warmup_epochs} must be below epochs {v.epochs}: "
            "lower it, or raise epochs"
        )
    if max(v.health_epochs, default=0) > v.epochs:
        problems.append(
            f"health_epochs {list(v.health_epochs)} goes beyond epochs {v.epochs}: "
            "lower it, raise epochs, or write -1 for the last"
        )
    return problems
