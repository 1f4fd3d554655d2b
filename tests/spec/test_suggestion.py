"""Suggestions: the right names, and none instead of wrong ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.spec.axes import AXES
from bench.spec.axis_validation import choices_of
from bench.spec.suggestion import near_misses, nearest
from bench.spec.suite import shipped_suites
from bench.spec.variant import Variant


def values_of(axis: str) -> list[str]:
    return choices_of(Variant.model_fields[axis].annotation)


@pytest.mark.parametrize(
    ("word", "suggestions"),
    [
        ("Norm", ["norm"]),
        ("learning-rate", ["learning_rate"]),
        ("epoch", ["epochs"]),
        ("replica", ["replicas"]),
        ("optimiser", ["optimizer"]),
        ("nrom", ["norm"]),
        ("lr", ["learning_rate"]),
        ("target", ["target_accuracy"]),
        ("batch_size", ["global_batch_size", "per_replica_batch_size"]),
        ("batch", ["batch_norm", "global_batch_size", "per_replica_batch_size"]),
        ("label", []),
        ("widths", []),
        ("momentum", []),
        ("x", []),
        ("", []),
    ],
)
def test_a_key_is_recognized_by_its_letters_its_parts_or_its_initials(
    word: str, suggestions: list[str]
) -> None:
    assert near_misses(word, AXES) == suggestions


@pytest.mark.parametrize(
    ("axis", "word", "suggestions"),
    [
        ("activation", "ReLU", ["relu"]),
        ("activation", "Relu", ["relu"]),
        ("activation", "LeakyReLU", ["leaky_relu"]),
        ("optimizer", "SGD", ["sgd"]),
        ("optimizer", "adamW", ["adamw"]),
        ("precision", "float16", ["mixed_float16"]),
        ("precision", "bf16", ["mixed_bfloat16"]),
        ("norm", "BN_POST", ["bn_post"]),
        ("norm", "bn", ["bn_post", "bn_pre"]),
        ("norm", "relu", []),
        ("initializer", "he", ["he_normal", "he_uniform"]),
        ("initializer", "HeNormal", ["he_normal"]),
        ("workload", "cnn", ["convnet"]),
        ("workload", "MLP", ["mlp"]),
        ("strategy", "mirror", ["mirrored"]),
        ("dataset", "mnist", ["fashion_mnist"]),
    ],
)
def test_a_value_in_another_spelling_is_recognized(
    axis: str, word: str, suggestions: list[str]
) -> None:
    assert near_misses(word, values_of(axis)) == suggestions


@pytest.mark.parametrize(
    ("word", "suggestions"),
    [
        ("QUICK", ["quick"]),
        ("quick.toml", ["quick"]),
        ("bn_overhead", ["bn-overhead"]),
        ("bn", ["bn-overhead", "bn-overhead-gpu", "bn-target"]),
        ("frob", []),
    ],
)
def test_a_suite_is_recognized(word: str, suggestions: list[str]) -> None:
    assert near_misses(word, shipped_suites()) == suggestions


def test_too_many_suggestions_become_none() -> None:
    assert near_misses("norm", [f"norm_{number}" for number in range(4)]) == []


def test_a_hint_names_one_some_or_all() -> None:
    assert nearest("bn_pots", ["none", "bn_post"]) == ": did you mean 'bn_post'?"
    assert nearest("bn", ["bn_post", "bn_pre"]) == ": did you mean 'bn_post' or 'bn_pre'?"
    assert nearest("zzz", ["none", "bn_post"]) == ": use one of none, bn_post"


_NAMES = st.lists(st.text("abc_-", min_size=1, max_size=8), max_size=8)


@given(st.text(max_size=12), _NAMES)
def test_suggestions_are_known_names_and_few(word: str, names: list[str]) -> None:
    offered = near_misses(word, names)
    assert set(offered) <= set(names)
    assert len(offered) == len(set(offered)) <= 3
