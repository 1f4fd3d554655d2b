"""Synthetic images are balanced, reproducible, learnable and bounded in size."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.datasets.synthetic import make_synthetic
from bench.datasets.synthetic_sizes import POOL_BYTES, pool_sizes
from bench.errors import DatasetError

small_shapes = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4))
any_shapes = st.tuples(st.integers(1, 5_000), st.integers(1, 5_000), st.integers(1, 4))
classes = st.integers(2, 50)
examples = st.integers(1, 500)


@given(small_shapes, classes, examples)
@settings(deadline=None, max_examples=40)
def test_every_set_has_the_requested_shape_and_classes(
    shape: tuple[int, int, int], classes: int, examples: int
) -> None:
    arrays = make_synthetic(shape, classes, examples)
    assert (arrays.shape, arrays.classes, arrays.real) == (shape, classes, False)
    train, held_out = pool_sizes(shape, examples)
    assert len(arrays.train_images) == len(arrays.train_labels) == train
    for images, labels in (
        (arrays.val_images, arrays.val_labels),
        (arrays.test_images, arrays.test_labels),
    ):
        assert images.shape == (held_out, *shape)
        assert images.dtype == np.uint8 and images.flags.c_contiguous
        assert labels.shape == (held_out,) and labels.dtype == np.int32
    counts = np.bincount(arrays.train_labels, minlength=classes)
    assert len(counts) == classes
    assert counts.max() - counts.min() <= 1


@given(small_shapes, classes, examples)
@settings(deadline=None, max_examples=20)
def test_equal_arguments_give_equal_bytes(
    shape: tuple[int, int, int], classes: int, examples: int
) -> None:
    one, other = (make_synthetic(shape, classes, examples) for _ in range(2))
    assert one.train_images.tobytes() == other.train_images.tobytes()
    assert one.val_images.tobytes() == other.val_images.tobytes()
    assert one.test_images.tobytes() == other.test_images.tobytes()


def test_the_bytes_are_the_same_on_every_machine() -> None:
    first = make_synthetic((2, 2, 1), 3, 4).train_images
    assert first.ravel().tolist() == [
        153,
        210,
        231,
        162,
        102,
        52,
        128,
        36,
        193,
        186,
        122,
        150,
        152,
        118,
        111,
        117,
    ]


@given(any_shapes, st.integers(1, 10**9))
def test_memory_is_bounded_for_any_arguments(shape: tuple[int, int, int], examples: int) -> None:
    train, held_out = pool_sizes(shape, examples)
    assert 1 <= train <= examples
    assert 1 <= held_out <= 1_000
    if math.prod(shape) > 32 * 2**20:
        with pytest.raises(DatasetError, match=r"lower shape$"):
            make_synthetic(shape, 2, examples)
        return
    assert (train + 2 * held_out) * math.prod(shape) <= POOL_BYTES


@pytest.mark.parametrize("classes", [10**9, 10**18])
def test_classes_whose_patterns_are_too_large_are_rejected_without_allocating(classes: int) -> None:
    with pytest.raises(DatasetError, match=rf"^the patterns of {classes} .*lower classes"):
        make_synthetic((8, 8, 1), classes, 10)


def test_an_imagenet_shaped_pool_stays_within_its_bound() -> None:
    arrays = make_synthetic((224, 224, 3), 1_000, 1_281_167)
    assert len(arrays.train_images) == 1_337
    assert arrays.size_bytes <= POOL_BYTES + 4 * 1_337 * 2


def test_the_class_means_of_training_examples_classify_test_examples() -> None:
    arrays = make_synthetic((28, 28, 1), 10, 2_000)
    train = arrays.train_images.reshape(len(arrays.train_images), -1).astype(float)
    means = np.stack([train[arrays.train_labels == label].mean(0) for label in range(10)])
    test = arrays.test_images.reshape(len(arrays.test_images), 1, -1).astype(float)
    nearest = ((test - means) ** 2).sum(-1).argmin(-1)
    assert (nearest == arrays.test_labels).mean() > 0.95


def test_no_test_example_is_a_training_example() -> None:
    arrays = make_synthetic((28, 28, 1), 10, 2_000)
    train = {image.tobytes() for image in arrays.train_images}
    assert not any(image.tobytes() in train for image in arrays.test_images)
