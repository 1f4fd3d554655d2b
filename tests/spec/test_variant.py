"""A variant holds one full configuration; configurations that train alike have one id."""

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.spec.defaults import fill_defaults
from bench.spec.variant import Variant

TWO_WORKERS = {"strategy": "multi_worker", "workers": 2}
TWO_REPLICAS = {"strategy": "mirrored", "replicas": 2}
DOTS = {"dataset": "synthetic", "workload": "convnet", "shape": [1, 1, 1]}
FUSED = {"norm": "bn_post", "batch_norm": "fused"}
WIDTHS = st.lists(st.integers(3, 10_000), max_size=5)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "hidden": WIDTHS,
        "filters": WIDTHS,
        "workload": st.sampled_from(["mlp", "convnet", "resnet50"]),
        "dataset": st.sampled_from(["fashion_mnist", "synthetic"]),
        "norm": st.sampled_from(["none", "bn_post", "bn_pre", "layer", "group"]),
        "clip": st.sampled_from(["none", "value", "norm", "global_norm"]),
        "clip_threshold": st.floats(1e-6, 1e6),
        "learning_rate": st.floats(1e-9, 1e3),
        "synchronized": st.booleans(),
        "global_batch_size": st.integers(1, 55_000),
        "epochs": st.integers(1, 1000),
        "target_accuracy": st.floats(0.01, 1.0),
    },
)


def variant(**settings: Any) -> Variant:
    return Variant.model_validate(fill_defaults(settings))


def test_the_id_is_the_same_in_every_version() -> None:
    assert variant().id == "a03e986a2a"
    assert variant(norm="bn_post", hidden=[100] * 20).id == "c07c422b4d"
    assert variant(**TWO_WORKERS).id == "8595e26091"


@given(SETTINGS)
def test_equal_configurations_have_equal_ids_through_toml(settings: dict[str, Any]) -> None:
    # JSON's scalars and arrays are TOML's.
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
    assert variant(**tomllib.loads(text)).id == variant(**settings).id


@given(SETTINGS)
def test_spelling_out_every_default_changes_nothing(settings: dict[str, Any]) -> None:
    once = variant(**settings)
    again = Variant.model_validate(fill_defaults(once.model_dump()))
    assert again == once
    assert again.id == once.id


@given(SETTINGS)
def test_a_variant_survives_json(settings: dict[str, Any]) -> None:
    once = variant(**settings)
    assert Variant.model_validate_json(once.model_dump_json()) == once


@pytest.mark.parametrize(
    ("settings", "without_effect"),
    [
        ({}, {"synchronized": True}),
        ({"norm": "bn_post"}, {"synchronized": True}),
        ({"strategy": "mirrored", "replicas": 2}, {"synchronized": False}),
        ({"strategy": "mirrored", "replicas": 2, "norm": "layer"}, {"synchronized": False}),
        ({}, {"communication": "none"}),
        ({}, {"all_reduce": "nccl"}),
        ({"strategy": "mirrored"}, {"all_reduce": "ring"}),
        ({**TWO_WORKERS, "communication": "none"}, {"all_reduce": "ring"}),
        (
            {"norm": "bn_post", "workers": 2, "strategy": "multi_worker", "communication": "none"},
            {"synchronized": False},
        ),
        ({}, {"clip_threshold": 5.0}),
        ({"precision": "mixed_float16"}, {"non_finite": "skip"}),
        ({}, {"filters": [8]}),
        ({"workload": "resnet50"}, {"hidden": [8], "depth": 3, "filters": [8]}),
        ({"hidden": [100, 50, 100, 50]}, {"hidden": [100, 50], "depth": 2}),
        ({}, {"max_steps": 10**6}),
        ({}, {"health_epochs": [0, 1, -1]}),
        ({}, {"shape": [8, 8, 3]}),
        ({}, {"classes": 100}),
        ({}, {"threads": None}),
        ({}, {"batch_norm": "fused"}),
        ({"norm": "layer"}, {"batch_norm": "fused"}),
        ({"norm": "bn_pre"}, {"batch_norm": "keras"}),
        ({}, {"learning_rate": 1e-3}),
        ({"learning_rate": 1}, {"learning_rate": 1.0}),
    ],
)
def test_a_key_without_effect_is_left_out_of_the_id(
    settings: dict[str, Any], without_effect: dict[str, Any]
) -> None:
    assert variant(**settings).id == variant(**{**settings, **without_effect}).id


@pytest.mark.parametrize(
    ("settings", "with_effect"),
    [
        ({"norm": "bn_post", "strategy": "mirrored", "replicas": 2}, {"synchronized": False}),
        ({"norm": "bn_pre"}, {"batch_norm": "fused"}),
        ({"norm": "bn_post", **TWO_REPLICAS}, {"batch_norm": "fused"}),
        ({"strategy": "mirrored", "replicas": 2}, {"communication": "none"}),
        (TWO_WORKERS, {"all_reduce": "ring"}),
        ({"clip": "value"}, {"clip_threshold": 5.0}),
        ({}, {"non_finite": "skip"}),
        ({"workload": "convnet"}, {"filters": [8]}),
        ({"dataset": "synthetic"}, {"shape": [8, 8, 3]}),
        ({"dataset": "synthetic"}, {"classes": 100}),
        ({}, {"norm": "bn_pre"}),
        ({}, {"epochs": 4}),
        ({}, {"max_steps": 100}),
        ({}, {"threads": 2}),
        ({}, {"inputs": "standardized"}),
        ({}, {"hidden": []}),
        ({}, {"depth": 2}),
        # A custom network may use them in any way.
        ({"workload": "my:net", "hidden": [8, 8]}, {"hidden": [8], "depth": 2}),
        ({"workload": "my:net"}, {"filters": [8]}),
        ({"workload": "my:net"}, {"workload": "my:other"}),
    ],
)
def test_a_key_with_an_effect_changes_the_id(
    settings: dict[str, Any], with_effect: dict[str, Any]
) -> None:
    assert variant(**settings).id != variant(**{**settings, **with_effect}).id


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"replicas": 2}, "strategy 'one_device' has one device, not 2: set strategy"),
        ({"strategy": "mirrored", "workers": 2}, "set strategy to 'multi_worker'"),
        (
            {"strategy": "mirrored", "replicas": 2, "all_reduce": "ring"},
            "set it to one of 'auto', 'nccl', 'hierarchical_copy', 'reduction_to_one_device'",
        ),
        (
            {**TWO_WORKERS, "all_reduce": "hierarchical_copy"},
            "set it to one of 'auto', 'ring', 'nccl'",
        ),
        (
            {"strategy": "mirrored", "replicas": 3, "global_batch_size": 32},
            "use a multiple of 3",
        ),
        ({**FUSED, **TWO_REPLICAS, "synchronized": True}, "set synchronized to false"),
        ({**FUSED, "precision": "float64"}, "no kernel for float64: set batch_norm to 'keras'"),
        ({"examples": 100, "global_batch_size": 101}, "larger than the data (100 examples)"),
        (
            {"epochs": 2, "health_epochs": [0, 3]},
            "health_epochs [0, 3] goes beyond epochs 2: lower it, raise epochs, or write -1",
        ),
        ({"epochs": 2, "warmup_epochs": 2}, "warmup_epochs 2 must be below epochs 2"),
        ({"norm": "layer", "hidden": [8, 1]}, "values, 1 here: raise hidden, or set norm"),
        ({"norm": "layer", "hidden": [2, 8]}, "values, 2 here: raise hidden, or set norm"),
        ({"norm": "group", "hidden": [2]}, "norm 'group' leaves nothing to learn from"),
        ({**DOTS, "norm": "group", "filters": [3]}, "1 here: raise shape"),
        ({**DOTS, "norm": "layer", "shape": [1, 1, 3], "filters": [2]}, "2 here: raise filters"),
    ],
)
def test_a_contradiction_says_which_keys_to_change(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        variant(**settings)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "settings",
    [
        # Nothing to synchronize, or no batch norm.
        {**FUSED, "synchronized": True},
        {**FUSED, **TWO_REPLICAS, "synchronized": True, "communication": "none"},
        {**TWO_REPLICAS, "batch_norm": "fused", "synchronized": True, "precision": "float64"},
    ],
    ids=str,
)
def test_a_key_without_effect_causes_no_contradiction(settings: dict[str, Any]) -> None:
    assert variant(**settings).batch_norm == "fused"


@pytest.mark.parametrize(
    "settings",
    [
        {"norm": "bn_post", "hidden": [1]},
        {"norm": "none", "hidden": [1], **DOTS},
        # A convolution of one filter still has all of its positions.
        {"norm": "group", "workload": "convnet", "filters": [1]},
        {"norm": "layer", "workload": "resnet50", "dataset": "synthetic", "shape": [1, 1, 1]},
        {"norm": "layer", "workload": "mine:net", "hidden": [1]},
    ],
    ids=str,
)
def test_a_width_of_one_is_refused_only_if_a_norm_would_make_it_a_constant(
    settings: dict[str, Any],
) -> None:
    assert variant(**settings).norm == settings["norm"]


def test_a_variant_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        variant().norm = "bn_post"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "may_be"),
    [
        ({}, False),
        ({"precision": "float32_strict", "pipeline": "tfdata", "norm": "bn_post"}, False),
        ({"jit": "step"}, True),
        ({"precision": "float64"}, True),
        ({"deterministic": True}, True),
        ({"strategy": "mirrored", "replicas": 2}, True),
        ({"strategy": "multi_worker", "workers": 2}, True),
    ],
    ids=str,
)
def test_tensorflow_may_refuse_anything_but_plain_steps_on_one_device(
    settings: dict[str, Any], may_be: bool
) -> None:
    assert variant(**{"jit": "none", **settings}).may_be_refused is may_be


@pytest.mark.parametrize(
    ("health_epochs", "examined"),
    [([], []), ([0], [0]), ([-1], [3]), ([0, 2, -1], [0, 2, 3]), ([3, 0, -1, 3], [0, 3])],
)
def test_health_is_measured_after_the_epochs_that_are_named(
    health_epochs: list[int], examined: list[int]
) -> None:
    settings = variant(epochs=3, health_epochs=health_epochs)
    assert [epochs for epochs in range(4) if settings.measures_health_after(epochs)] == examined


@pytest.mark.parametrize("health_epochs", [[-2], [0.5], 1, ["last"]])
def test_a_health_epoch_is_a_count_or_the_last(health_epochs: object) -> None:
    with pytest.raises(ValidationError):
        variant(health_epochs=health_epochs)
