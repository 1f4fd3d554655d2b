"""Which settings of a variant cannot act, so that its id does not hang on them.

Usage:
    inert_keys(variant)            # frozenset({"depth", "synchronized", "clip_threshold", ...})
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.spec.variant import Variant

OBSERVING = frozenset({"health_epochs"})
"""Axes that say what is looked at: none of them ever acts on the training."""

_UNUSED: dict[str, frozenset[str]] = {
    "mlp": frozenset({"filters"}),
    "convnet": frozenset(),
    "resnet50": frozenset({"filters", "hidden"}),
}
"""Axes that say how large another workload is. One's own may use them all, and
is held to those that it reads (``bench.training.own``)."""


def inert_keys(variant: "Variant") -> frozenset[str]:
    """Keys of ``variant`` that have no effect on its training."""
    inert = {*OBSERVING}
    if not variant.has_own_workload:
        inert.add("depth")  # which is in the widths of all layers
    silent = variant.total_replicas == 1 or variant.communication == "none"
    has_batch_norm = variant.norm in ("bn_post", "bn_pre")
    if not has_batch_norm or silent:
        inert.add("synchronized")
    if not has_batch_norm or variant.batch_norm == "keras":
        inert.add("batch_norm")  # as ids were before there was a choice
    if variant.total_replicas == 1:
        inert.add("communication")
    # auto is left out as well: ids are as they were before there was a choice.
    if silent or variant.all_reduce == "auto":
        inert.add("all_reduce")
    if variant.threads is None:
        inert.add("threads")  # as ids were before there was a choice
    if variant.workers == 1:
        inert.add("placement")
    if variant.inputs == "unit":
        inert.add("inputs")  # as ids were before there was a choice
    if not variant.is_capped:
        inert.add("max_steps")
    if variant.clip == "none":
        inert.add("clip_threshold")
    if variant.non_finite == "apply" or variant.precision == "mixed_float16":
        inert.add("non_finite")
    inert |= _UNUSED.get(variant.workload, frozenset())
    if variant.dataset != "synthetic":
        inert |= {"shape", "classes"}
    return frozenset(inert)
