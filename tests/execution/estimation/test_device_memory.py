"""How much memory a variant needs: in its order, and growing with what it is made of."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.execution.estimation.device_memory import MemoryNeed, memory_need, too_large
from bench.spec.defaults import fill_defaults
from bench.spec.variant import Variant

IMAGENET: dict[str, Any] = {
    "workload": "resnet50",
    "dataset": "synthetic",
    "shape": [224, 224, 3],
    "classes": 1000,
    "examples": 1_281_167,
    "norm": "bn_pre",
}
GB = 10**9


def variant(**settings: Any) -> Variant:
    return Variant.model_validate(fill_defaults(settings))


def memory(**settings: Any) -> MemoryNeed:
    found = memory_need(variant(**settings))
    assert found is not None
    return found


@pytest.mark.parametrize(("batch", "low", "high"), [(32, 2, 6), (128, 9, 16), (512, 36, 60)])
def test_resnet50_needs_its_known_amount_of_memory(batch: int, low: int, high: int) -> None:
    # A batch of 128 in float32 fits 16 GB, one of 256 does not.
    assert low * GB < memory(**IMAGENET, global_batch_size=batch).total_bytes < high * GB


@given(st.integers(1, 400), st.integers(1, 400))
def test_a_larger_batch_needs_more(batch: int, more: int) -> None:
    smaller, larger = (memory(global_batch_size=size) for size in (batch, batch + more))
    assert smaller.batch_bytes <= larger.batch_bytes
    assert smaller.data_bytes == larger.data_bytes


def test_replicas_share_a_batch() -> None:
    shared = memory(**IMAGENET, strategy="mirrored", replicas=4, global_batch_size=256)
    alone = memory(**IMAGENET, global_batch_size=64)
    assert shared == alone


def test_augmented_and_streamed_examples_take_no_storage() -> None:
    all_real = memory(examples=55_000)
    assert all_real.data_bytes == 55_000 * (28 * 28 + 8)
    assert memory(examples=5_500_000) == all_real
    for pipeline in ("tfdata", "tfrecord"):
        assert memory(pipeline=pipeline).data_bytes == 0


def test_norms_and_optimizers_take_memory_and_half_precision_halves_outputs() -> None:
    plain, normed = memory(**IMAGENET | {"norm": "none"}), memory(**IMAGENET)
    assert normed.batch_bytes > plain.batch_bytes
    adam, sgd = memory(**IMAGENET, optimizer="adam"), memory(**IMAGENET)
    # Gradients and weights, and two slots for each weight with adam.
    assert adam.weights_bytes == 2 * sgd.weights_bytes
    half = memory(**IMAGENET, precision="mixed_bfloat16")
    assert half.batch_bytes < 0.6 * sgd.batch_bytes


def test_variants_that_do_not_fit_are_named_only_if_the_device_s_size_is_known() -> None:
    sizes = {str(b): variant(**IMAGENET, global_batch_size=b) for b in (32, 128, 512)}
    assert set(too_large(sizes, 24 * GB)) == {"512"}
    assert set(too_large(sizes, 8 * GB)) == {"128", "512"}
    assert too_large(sizes, None) == {}


def test_a_custom_workload_has_no_estimate() -> None:
    own = variant(workload="my.nets:wide", global_batch_size=55_000)
    assert memory_need(own) is None
    assert too_large({"own": own}, 1) == {}
