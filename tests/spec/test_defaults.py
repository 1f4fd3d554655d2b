"""The defaults of an empty suite, and those that follow from its settings."""

from typing import Any

import pytest

from bench.spec.defaults import fill_defaults
from bench.spec.variant import Variant


def variant(**settings: Any) -> Variant:
    return Variant.model_validate(fill_defaults(settings))


def test_an_empty_suite_gets_the_notebooks_plain_model() -> None:
    assert variant().model_dump() == {
        "workload": "mlp",
        "hidden": (300, 100),
        "depth": 1,
        "filters": (32, 64),
        "dataset": "fashion_mnist",
        "shape": (28, 28, 1),
        "classes": 10,
        "examples": 55_000,
        "augment": "auto",
        "inputs": "unit",
        "pipeline": "device",
        "initializer": "he_normal",
        "activation": "relu",
        "norm": "none",
        "batch_norm": "keras",
        "synchronized": False,
        "clip": "none",
        "clip_threshold": 1.0,
        "non_finite": "apply",
        "optimizer": "sgd",
        "learning_rate": 0.001,
        "precision": "float32",
        "jit": "epoch",
        "deterministic": False,
        "strategy": "one_device",
        "workers": 1,
        "replicas": 1,
        "environment": "default",
        "placement": "pack",
        "communication": "full",
        "all_reduce": "auto",
        "global_batch_size": 32,
        "max_steps": None,
        "epochs": 3,
        "warmup_epochs": 1,
        "target_accuracy": None,
        "threads": None,
        "health_epochs": (),
    }


@pytest.mark.parametrize(
    ("settings", "key", "value"),
    [
        ({"strategy": "mirrored", "replicas": 2}, "jit", "none"),
        ({"strategy": "multi_worker", "workers": 2}, "jit", "none"),
        ({"pipeline": "tfdata"}, "jit", "step"),
        ({"strategy": "mirrored", "replicas": 2}, "synchronized", True),
        ({"strategy": "mirrored", "replicas": 2, "batch_norm": "fused"}, "synchronized", False),
        ({"strategy": "mirrored", "replicas": 4}, "global_batch_size", 128),
        ({"strategy": "multi_worker", "workers": 2, "replicas": 4}, "global_batch_size", 256),
        (
            {"strategy": "mirrored", "replicas": 4, "per_replica_batch_size": 8},
            "global_batch_size",
            32,
        ),
        ({"epochs": 1}, "warmup_epochs", 0),
        ({"epochs": 2}, "warmup_epochs", 1),
    ],
)
def test_defaults_follow_from_other_settings(
    settings: dict[str, Any], key: str, value: Any
) -> None:
    assert getattr(variant(**settings), key) == value


def test_two_batch_sizes_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="set one of the two"):
        fill_defaults({"global_batch_size": 64, "per_replica_batch_size": 32})
    assert variant(global_batch_size=32, per_replica_batch_size=32).global_batch_size == 32
