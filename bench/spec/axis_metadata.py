"""The kinds of metadata that the axes in ``bench.spec.axes`` carry; no axis is declared here.

Usage:
    filters: Annotated[tuple[int, ...], Axis(inactive=unused_by("mlp"), implies=NETWORK)]
    AXES["filters"].implies     # in bench.spec.axes

The variant's id, the checks of a suite, the confounds of a comparison and docs/reference.md all
read an axis here. Its meaning in words is the docstring of its field.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from bench.spec.variant import Variant

Reason = Callable[["Variant"], str | None]
"""Returns why a setting has no effect, as the end of "since ..."; None where it has one."""

# Groups of keys of ``resolved`` that several axes imply.
STEPS = ("steps_per_epoch", "whole_epoch_steps", "window_steps", "examples_left_out")
BATCH = ("per_replica_batch_size", "norm_values", *STEPS)
NETWORK = ("norm_layers", "norm_values", "norm_groups", "has_convolutions")
THREADS = ("*_op_threads", "variables.*_NUM_*THREADS", "allotted.cores")
DEVICES = (
    *("norm_values", "node", "devices", "per_replica_batch_size", "norm_synchronized"),
    *("tensorflow_strategy", "reduction", "nccl_transport", "allotted.*"),
    *THREADS,
)

BY_ENVIRONMENT: dict[str, tuple[str, ...]] = {
    "python": (
        *("python", "numpy", "tensorflow", "keras", "build.*", "onednn", "process_start"),
        *("cuda", "cudnn", "ptxas", "cuda_libraries.*", "autotune_*"),
    ),
    "revision": ("workload_source", *NETWORK),
    "threads": THREADS,
    "variables": ("onednn",),
}
"""What the settings of an environment imply, by the key that the suite sets."""


@dataclass(frozen=True)
class Axis:
    """The metadata of one axis; the defaults are those of an axis that always has an effect."""

    inactive: Reason = lambda _: None
    """Why the setting has no effect on a variant's training."""
    implies: tuple[str, ...] = ()
    """Keys of a record's ``resolved`` that the axis itself changes: shell patterns, in which a dot
    leads into a nested table."""
    default: str | None = None
    """The default in words, for one that depends on other settings."""
    values: str = "1 or more"
    """The values in words, for a type that does not name them."""
    observes: bool = False
    """Whether the axis only chooses what is measured, and never affects the training."""
    sets_length: bool = False
    """Whether it only says how long a trial trains; it never affects the time of an epoch."""
    builds_network: bool = False
    """Whether it acts only through the layers of the network; a custom one may not use it."""
    keeps_kernels: bool = False
    """Whether TensorFlow runs the same kernels whatever its value."""
    acts_through: str | None = None
    """The axis without which it has no effect; a comparison of that axis changes it as well."""
    follows_replicas: bool = False
    """Whether a suite may change it with the number of replicas in one and the same experiment."""
    scaling: Literal["fixed", "free", "compared"] = "fixed"
    """Its part in a comparison of scaling: the same in both arms; free to differ, as it has no
    effect with one replica or has to follow; or one of the sizes that are compared."""


network_axis = functools.partial(Axis, implies=NETWORK, builds_network=True, keeps_kernels=True)
"""The metadata of an axis that says how many layers the network has, and how wide they are."""


def axis_of(field: FieldInfo) -> Axis:
    """Return the metadata of a field of ``Variant``."""
    return next((part for part in field.metadata if isinstance(part, Axis)), Axis())


def default_of(axis: str, default: Any) -> Reason:
    """Inactive at the ``default`` that held before the axis existed: older ids stay the same."""

    def reason(variant: "Variant") -> str | None:
        is_default = getattr(variant, axis) == default
        return "it is what held before there was a choice" if is_default else None

    return reason


def unused_by(*workloads: str) -> Reason:
    """Inactive for these workloads.

    A custom workload may use any axis of the network; ``bench.training.model.custom_model``
    refuses one that it does not read.
    """
    return lambda variant: _is_one_of(variant, "workload", workloads)


def only_synthetic(variant: "Variant") -> str | None:
    """Inactive for a data set that has its own shape and classes."""
    return _is_one_of(variant, "dataset", ("fashion_mnist",))


def no_exchange(variant: "Variant") -> str | None:
    """Inactive if replicas exchange nothing."""
    return one_replica(variant) or _is_one_of(variant, "communication", ("none",))


def one_replica(variant: "Variant") -> str | None:
    """Inactive without other replicas."""
    return "there is one replica" if variant.total_replicas == 1 else None


def no_batch_norm(variant: "Variant") -> str | None:
    """Inactive without batch norm."""
    return _is_one_of(variant, "norm", ("none", "layer", "group"))


def repeated_widths(variant: "Variant") -> str | None:
    """Inactive where ``Variant.canonical`` writes the repeated layers out.

    A custom network may treat [100, 100] and [100] twice in different ways.
    """
    return None if variant.has_custom_workload else "the widths of all layers are the same"


def always_skips(variant: "Variant") -> str | None:
    """Inactive if steps that are not finite are skipped anyway, and at its older default."""
    if variant.precision == "mixed_float16":
        return "mixed_float16 skips steps that are not finite in any case"
    return default_of("non_finite", "apply")(variant)


def no_clipping(variant: "Variant") -> str | None:
    """Inactive without clipping."""
    return _is_one_of(variant, "clip", ("none",))


def one_worker(variant: "Variant") -> str | None:
    """Inactive without other workers."""
    return "there is one worker" if variant.workers == 1 else None


def not_capped(variant: "Variant") -> str | None:
    """Inactive if a whole epoch has no more steps than the maximum."""
    return None if variant.is_capped else "an epoch has no more steps than that"


def first_of(*reasons: Reason) -> Reason:
    """Inactive if any of ``reasons`` applies, for the first that does."""
    return lambda variant: next((text for reason in reasons if (text := reason(variant))), None)


def _is_one_of(variant: "Variant", axis: str, values: tuple[str, ...]) -> str | None:
    value = getattr(variant, axis)
    return f"{axis} is {value}" if value in values else None
