"""Find settings that differ between two arms beyond what is being compared.

Usage:
    confounds({"norm"}, variant_settings, baseline_settings)
    # (Confound(key="xla", value=True, baseline=False),)

If TensorFlow ran two arms differently for a reason other than the compared axis, their ratio says
nothing about that axis. The settings that an axis changes by itself are listed here.
"""

import fnmatch
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

_STEPS = ("steps_per_epoch", "whole_epoch_steps", "window_steps", "examples_left_out")
_BATCH = ("per_replica_batch_size", "norm_values", *_STEPS)
_NETWORK = ("norm_layers", "norm_values", "norm_groups", "has_convolutions")
_THREADS = ("*_op_threads", "variables.*_NUM_*THREADS", "allotted.cores")
_DEVICES = (
    *("norm_values", "node", "devices", "per_replica_batch_size", "norm_synchronized"),
    *("tensorflow_strategy", "reduction", "nccl_transport", "allotted.*"),
    *_THREADS,
)

FOLLOWS: dict[str, tuple[str, ...]] = {
    "workload": (*_NETWORK, "workload_source"),
    "hidden": _NETWORK,
    "depth": _NETWORK,
    "filters": _NETWORK,
    "dataset": _NETWORK,
    "shape": _NETWORK,
    "pipeline": ("order",),
    "examples": ("order", *_STEPS),
    "max_steps": _STEPS,
    "augment": ("augmented",),
    "norm": ("norm_*", "batch_norm"),
    "batch_norm": ("batch_norm",),
    "synchronized": ("norm_synchronized", "norm_values"),
    "optimizer": ("optimizer_config.*",),
    "learning_rate": ("optimizer_config.learning_rate",),
    "non_finite": ("skips_non_finite",),
    "precision": ("policy", "tf32", "loss_scaling", "skips_non_finite"),
    "jit": ("xla", "jit", "compiled"),
    "deterministic": ("deterministic",),
    "threads": _THREADS,
    "strategy": _DEVICES,
    "placement": _DEVICES,
    "communication": ("reduction", "norm_synchronized", "norm_values", "nccl_transport"),
    "all_reduce": ("reduction", "nccl_transport"),
    "workers": _DEVICES,
    "replicas": _DEVICES,
    "global_batch_size": _BATCH,
    "per_replica_batch_size": _BATCH,
}
"""Keys of ``resolved`` (shell patterns, dots for nested keys) that an axis changes by itself."""

PER_PROCESS: frozenset[str] = frozenset({"pid", "tracing_count"})
"""Keys that differ from process to process."""

COUNTERS: tuple[str, ...] = (
    *PER_PROCESS,
    "*_count",
    *("visible_gpus", "variables.CUDA_VISIBLE_DEVICES", "variables.CUDA_CACHE_PATH"),
    "allotted.*gpus",
    "optimizer_config.name",  # Keras counts: the second SGD of a process is "sgd_1"
)
"""Keys that record what happened or where; they are not settings."""

_LIBRARIES = "cuda_libraries.*"
"""Library versions; an arm that does not use a library does not load it, and has None."""


@dataclass(frozen=True)
class Confound:
    """A setting that differs; a value is None if that arm does not have the setting."""

    key: str
    value: Any
    baseline: Any


def confounds(
    axes: Collection[str], variant: Mapping[str, Any], baseline: Mapping[str, Any]
) -> tuple[Confound, ...]:
    """Return the resolved settings that differ although none of ``axes`` implies it."""
    expected = [*COUNTERS, *(pattern for axis in axes for pattern in FOLLOWS.get(axis, ()))]
    ours, theirs = _flat(variant), _flat(baseline)
    return tuple(
        Confound(key, ours.get(key), theirs.get(key))
        for key in dict.fromkeys((*ours, *theirs))
        if ours.get(key) != theirs.get(key)
        and not (fnmatch.fnmatchcase(key, _LIBRARIES) and None in (ours.get(key), theirs.get(key)))
        and not any(fnmatch.fnmatchcase(key, pattern) for pattern in expected)
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
