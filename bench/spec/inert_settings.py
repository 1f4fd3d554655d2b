"""Which settings of a variant have no effect, so that its id leaves them out, and why.

Usage:
    inert_settings(variant)                    # frozenset({"depth", "synchronized", ...})
    why_inert(variant)["clip_threshold"]   # "clip is none"
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
is held to those that it reads (``bench.training.model.custom_model``)."""
_DEFAULT = "it is what held before there was a choice"


def inert_settings(variant: "Variant") -> frozenset[str]:
    """Keys of ``variant`` that have no effect on its training."""
    return frozenset(why_inert(variant))


def why_inert(variant: "Variant") -> dict[str, str]:
    """The keys of ``inert_settings``, each with the reason, which completes "since ..."."""
    reasons = dict.fromkeys(
        OBSERVING, "it trains nothing, and one run looks after the epochs of all"
    )
    if not variant.has_own_workload:
        reasons["depth"] = "the widths of all layers are the same"
    reasons |= _of_replicas(variant) | _of_batch_norm(variant)
    if variant.threads is None:
        reasons["threads"] = _DEFAULT
    if variant.inputs == "unit":
        reasons["inputs"] = _DEFAULT
    if not variant.is_capped:
        reasons["max_steps"] = "an epoch has no more steps than that"
    if variant.clip == "none":
        reasons["clip_threshold"] = "clip is none"
    if variant.precision == "mixed_float16":
        reasons["non_finite"] = "mixed_float16 skips steps that are not finite in any case"
    elif variant.non_finite == "apply":
        reasons["non_finite"] = _DEFAULT
    unused = _UNUSED.get(variant.workload, frozenset())
    reasons |= dict.fromkeys(unused, f"workload is {variant.workload}")
    if variant.dataset != "synthetic":
        reasons |= dict.fromkeys(("shape", "classes"), f"dataset is {variant.dataset}")
    return reasons


def _of_replicas(variant: "Variant") -> dict[str, str]:
    reasons = {}
    silence = _silence(variant)
    if silence or variant.all_reduce == "auto":
        reasons["all_reduce"] = silence or _DEFAULT
    if variant.total_replicas == 1:
        reasons["communication"] = "there is one replica"
    if variant.workers == 1:
        reasons["placement"] = "there is one worker"
    return reasons


def _of_batch_norm(variant: "Variant") -> dict[str, str]:
    if variant.norm not in ("bn_post", "bn_pre"):
        return dict.fromkeys(("synchronized", "batch_norm"), f"norm is {variant.norm}")
    reasons = {}
    if silence := _silence(variant):
        reasons["synchronized"] = silence
    if variant.batch_norm == "keras":
        reasons["batch_norm"] = _DEFAULT
    return reasons


def _silence(variant: "Variant") -> str | None:
    """Why replicas exchange nothing; None where they do."""
    if variant.total_replicas == 1:
        return "there is one replica"
    return "communication is none" if variant.communication == "none" else None
