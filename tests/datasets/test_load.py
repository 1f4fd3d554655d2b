"""Variants that train on the same data share one dataset key."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.datasets.load import dataset_key, load_arrays, real_variants
from bench.errors import DatasetError
from bench.spec.defaults import fill_defaults
from bench.spec.variant import Variant


def _variant(**overrides: Any) -> Variant:
    return Variant.model_validate(fill_defaults({"global_batch_size": 1, **overrides}))


def test_variants_of_real_data_share_a_key() -> None:
    keys = {
        dataset_key(_variant(norm="bn_pre")),
        dataset_key(_variant(examples=5_500_000)),
        dataset_key(_variant(examples=100, shape=(8, 8, 3))),
    }
    assert keys == {"fashion_mnist"}


def test_each_real_dataset_needs_one_variant_and_synthetic_data_none() -> None:
    real, synthetic = _variant(norm="bn_pre"), _variant(dataset="synthetic")
    assert [v.dataset for v in real_variants([synthetic, real, _variant(), synthetic])] == [
        "fashion_mnist"
    ]
    assert real_variants([synthetic]) == []


def test_a_key_exists_for_data_that_is_too_large_to_make() -> None:
    shape = (10_000, 10_000, 3)
    huge = _variant(dataset="synthetic", shape=shape)
    assert "10000x10000x3" in dataset_key(huge)
    with pytest.raises(DatasetError):
        load_arrays(huge)


def test_synthetic_variants_larger_than_the_pool_share_a_key() -> None:
    shape = (224, 224, 3)
    one, other = (_variant(dataset="synthetic", shape=shape, examples=n) for n in (10**5, 10**6))
    assert dataset_key(one) == dataset_key(other)


synthetic_variants = st.builds(
    _variant,
    dataset=st.just("synthetic"),
    shape=st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2)),
    classes=st.integers(2, 3),
    examples=st.integers(1, 3),
    learning_rate=st.sampled_from([0.1, 0.01]),
)


@given(synthetic_variants, synthetic_variants)
@settings(deadline=None, max_examples=300)
def test_equal_keys_mean_equal_arrays(one: Variant, other: Variant) -> None:
    equal = (one.shape, one.classes, one.examples) == (other.shape, other.classes, other.examples)
    assert (dataset_key(one) == dataset_key(other)) == equal
    if equal:
        left, right = load_arrays(one), load_arrays(other)
        assert np.array_equal(left.train_images, right.train_images)
        assert np.array_equal(left.test_labels, right.test_labels)
