"""Augmentation leaves originals unchanged, and changes each copy in a fixed way."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from bench.training.data.augmentation import CONTRAST, MAX_SHIFT, augment
from tests.support.training_setup import FEW

ORIGINALS = 10
SIDE = 8
INDICES = st.lists(st.integers(0, 2**40), min_size=1, max_size=12)


def augmented(images: np.ndarray, indices: list[int] | np.ndarray) -> np.ndarray:
    actual: np.ndarray = augment(
        tf.constant(images), tf.constant(indices, tf.int64), ORIGINALS
    ).numpy()
    return actual


def random_images(count: int, channels: int = 1) -> np.ndarray:
    generator = np.random.default_rng(4)
    return generator.uniform(0.1, 1.0, (count, SIDE, SIDE, channels)).astype(np.float32)


@FEW
@given(st.lists(st.integers(0, ORIGINALS - 1), min_size=1, max_size=12))
def test_originals_are_unchanged(indices: list[int]) -> None:
    images = random_images(len(indices))
    np.testing.assert_array_equal(augmented(images, indices), images)


@FEW
@given(INDICES)
def test_a_copy_depends_only_on_its_index(indices: list[int]) -> None:
    image = random_images(1)
    together = augmented(np.repeat(image, len(indices), 0), indices)
    for copy, index in zip(together, indices, strict=True):
        np.testing.assert_array_equal(augmented(image, [index])[0], copy)


@FEW
@given(st.lists(st.integers(ORIGINALS, 2**40), min_size=1, max_size=12))
def test_a_copy_is_its_image_shifted_flipped_and_scaled_within_bounds(indices: list[int]) -> None:
    image = random_images(1, channels=2)
    for actual in augmented(np.repeat(image, len(indices), 0), indices):
        assert any(_is_scaled(actual, shifted) for shifted in _shifts_and_flips(image[0]))


def test_copies_take_every_shift_and_both_flips_and_all_contrasts() -> None:
    # One bright pixel shows the shift and the contrast of each image.
    images = np.zeros((5000, SIDE, SIDE, 1), np.float32)
    images[:, 2, 3] = 1.0
    actual = augmented(images, np.arange(ORIGINALS, ORIGINALS + 5000))[..., 0]
    _, rows, columns = np.nonzero(actual)
    assert set(rows - 2) == set(range(-MAX_SHIFT, MAX_SHIFT + 1))
    flipped = SIDE - 1 - 3
    places = {p + s for p in (3, flipped) for s in range(-MAX_SHIFT, MAX_SHIFT + 1)}
    assert set(columns) == places
    contrasts = actual.max((1, 2))
    low, high = CONTRAST
    assert low <= contrasts.min() < low + 0.01
    assert high - 0.01 < contrasts.max() <= high
    assert contrasts.mean() == pytest.approx(1.0, abs=0.01)


def test_copies_of_one_image_differ() -> None:
    indices = np.arange(1, 41) * ORIGINALS
    actual = augmented(np.repeat(random_images(1), 40, 0), indices)
    assert len({image.tobytes() for image in actual}) == 40


def test_indices_beyond_32_bits_are_not_folded() -> None:
    image = np.repeat(random_images(1), 2, 0)
    low, high = augmented(image, [50, 50 + 2**32])
    assert not np.array_equal(low, high)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_xla_and_the_host_agree(dtype: tf.DType) -> None:
    images = tf.cast(random_images(50), dtype)
    indices = tf.range(50, dtype=tf.int64) * 7

    def copies() -> tf.Tensor:
        return augment(images, indices, ORIGINALS)

    compiled = tf.function(copies, jit_compile=True)()
    assert compiled.dtype == dtype
    np.testing.assert_allclose(compiled.numpy(), copies().numpy(), rtol=1e-6)


def _shifts_and_flips(image: np.ndarray) -> list[np.ndarray]:
    padded = np.pad(image, [(MAX_SHIFT, MAX_SHIFT), (MAX_SHIFT, MAX_SHIFT), (0, 0)])
    shifts = range(2 * MAX_SHIFT + 1)
    crops = [padded[y : y + SIDE, x : x + SIDE] for y in shifts for x in shifts]
    return crops + [crop[:, ::-1] for crop in crops]


def _is_scaled(actual: np.ndarray, shifted: np.ndarray) -> bool:
    if not np.array_equal(actual != 0, shifted != 0):
        return False
    ratios = actual[shifted != 0] / shifted[shifted != 0]
    low, high = CONTRAST
    return bool(np.ptp(ratios) < 1e-5 and low <= ratios.mean() <= high)
