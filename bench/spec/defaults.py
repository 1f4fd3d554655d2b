"""Fill in the defaults of a variant: the notebook's plain model, or what other settings imply.

Usage:
    settings = fill_defaults({"norm": "bn_post", "global_batch_size": 512}, "gpu")
    variant = Variant.model_validate(settings)
"""

from collections.abc import Mapping
from typing import Any

from bench.spec.axis_groups import LATER_AXES
from bench.spec.default_jit import default_jit
from bench.spec.device import DeviceType
from bench.spec.variant import FASHION_MNIST_TRAIN_EXAMPLES


def fill_defaults(partial: Mapping[str, Any], device: DeviceType = "cpu") -> dict[str, Any]:
    """Return all fields of a variant: the ``partial`` settings, and the defaults on ``device``.

    A caller that does not know the device uses a CPU's defaults, which are not much slower on
    any other. Raises ValueError if the two ways to set the batch size contradict each other.
    """
    settings: dict[str, Any] = {**LATER_AXES, **_DEFAULTS, **partial}
    total = settings["workers"] * settings["replicas"]
    settings.setdefault("synchronized", total > 1 and settings["batch_norm"] != "fused")
    kind = {"strategy": settings["strategy"], "pipeline": settings["pipeline"]}
    settings.setdefault("jit", default_jit(settings["workload"], device, **kind))
    settings.setdefault("warmup_epochs", 1 if settings["epochs"] > 1 else 0)
    per_replica = settings.pop("per_replica_batch_size", None)
    implied = (per_replica or 32) * total
    batch = settings.setdefault("global_batch_size", implied)
    if per_replica is not None and batch != implied:
        raise ValueError(
            f"global_batch_size {batch} is not per_replica_batch_size {per_replica} times "
            f"{total} replicas: set one of the two"
        )
    return settings


_DEFAULTS: dict[str, Any] = {
    "workload": "mlp",
    "hidden": (300, 100),
    "filters": (32, 64),
    "dataset": "fashion_mnist",
    "shape": (28, 28, 1),
    "classes": 10,
    "examples": FASHION_MNIST_TRAIN_EXAMPLES,
    "augment": "auto",
    "pipeline": "device",
    "initializer": "he_normal",
    "activation": "relu",
    "norm": "none",
    "clip": "none",
    "clip_threshold": 1.0,
    "optimizer": "sgd",
    "learning_rate": 0.001,
    "precision": "float32",
    "deterministic": False,
    "strategy": "one_device",
    "workers": 1,
    "replicas": 1,
    "epochs": 3,
    "target_accuracy": None,
}
