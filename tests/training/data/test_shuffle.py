"""The order of an epoch: every example once, another order each epoch, the same everywhere."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from bench.training.data.shuffle import MAX_PERMUTATION, Shuffle, swap_or_not
from tests.support.training_setup import FEW

SEEDS = st.integers(0, 2**31 - 1)
METHODS = {"permutation": MAX_PERMUTATION, "bijection": 0}


def order_of(method: str, examples: int, seed: int = 1) -> Shuffle:
    order = Shuffle(examples, seed, max_permutation=METHODS[method])
    assert order.method == method
    return order


def whole(order: Shuffle, examples: int, epoch: int = 0) -> np.ndarray:
    found: np.ndarray = order.window(order.epoch_order(epoch), 0, examples).numpy()
    return found


def bijected(size: int, seed: int, epoch: int, positions: np.ndarray | None = None) -> np.ndarray:
    positions = np.arange(size) if positions is None else positions
    key = tf.constant([seed, epoch], tf.int64)
    found: np.ndarray = swap_or_not(tf.constant(positions, tf.int64), size, key).numpy()
    return found


def test_ten_million_examples_are_permuted_and_more_are_bijected() -> None:
    assert Shuffle(MAX_PERMUTATION, 1).method == "permutation"
    assert Shuffle(MAX_PERMUTATION + 1, 1).method == "bijection"


@FEW
@given(st.integers(1, 3000), SEEDS, st.integers(0, 1000))
def test_the_bijection_has_every_example_once_for_any_size(
    size: int, seed: int, epoch: int
) -> None:
    assert sorted(bijected(size, seed, epoch).tolist()) == list(range(size))


@FEW
@given(st.integers(1, 3000), SEEDS, st.integers(0, 1000))
def test_the_permutation_has_every_example_once_for_any_size(
    size: int, seed: int, epoch: int
) -> None:
    found = whole(order_of("permutation", size, seed), size, epoch)
    assert sorted(found.tolist()) == list(range(size))


@pytest.mark.parametrize("method", METHODS)
def test_orders_differ_by_epoch_and_by_seed(method: str) -> None:
    orders = [
        tuple(whole(order_of(method, 100, seed), 100, epoch))
        for seed in range(4)
        for epoch in range(4)
    ]
    assert len(set(orders)) == 16


@pytest.mark.parametrize("method", METHODS)
def test_equal_seed_and_epoch_give_the_equal_order(method: str) -> None:
    first, second = (whole(order_of(method, 1000, 5), 1000, 2) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("method", METHODS)
def test_an_epoch_may_be_a_tensor(method: str) -> None:
    order = order_of(method, 100)
    by_tensor = order.window(order.epoch_order(tf.constant(3, tf.int64)), 0, 100)
    np.testing.assert_array_equal(by_tensor.numpy(), whole(order, 100, 3))


@pytest.mark.parametrize("method", METHODS)
def test_windows_one_after_another_make_up_the_epoch(method: str) -> None:
    order = order_of(method, 1000)
    shuffled = order.epoch_order(4)
    parts = [order.window(shuffled, start, 250).numpy() for start in range(0, 1000, 250)]
    np.testing.assert_array_equal(np.concatenate(parts), whole(order, 1000, 4))


@FEW
@given(st.integers(2**32, 2**50), SEEDS, st.data())
def test_sizes_beyond_32_bits_stay_in_range_and_do_not_collide(
    size: int, seed: int, data: st.DataObject
) -> None:
    positions = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=50, unique=True))
    found = bijected(size, seed, 0, np.array([*positions]))
    assert ((found >= 0) & (found < size)).all()
    assert len(set(found.tolist())) == len(positions)


def test_beyond_32_bits_neighbours_are_scattered_over_everything() -> None:
    size = 2**40 + 7
    found = bijected(size, 1, 0, np.arange(4000))
    counts = np.histogram(found, bins=16, range=(0, size))[0]
    assert chi_squared_p(counts) > 1e-4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [7, 64])
def test_each_example_comes_at_each_place_equally_often(method: str, size: int) -> None:
    epochs = 30 * size
    order = order_of(method, size, seed=3)
    found = np.stack([whole(order, size, epoch) for epoch in range(epochs)])
    counts = np.stack([np.bincount(column, minlength=size) for column in found.T])
    # Rows and columns both add up to the number of epochs: (size - 1)^2 degrees of freedom.
    expected = epochs / size
    statistic = float(np.square(counts - expected).sum() / expected)
    assert chi2.sf(statistic, (size - 1) ** 2) > 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_neighbours_do_not_stay_together(method: str) -> None:
    found = whole(order_of(method, 10_000), 10_000)
    steps = np.diff(found)
    # A random order keeps a neighbour at a distance of one twice in 10,000, on average.
    assert (np.abs(steps) == 1).sum() < 15
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 0.05


def chi_squared_p(counts: np.ndarray) -> float:
    expected = counts.mean()
    statistic = float(np.square(counts - expected).sum() / expected)
    return float(chi2.sf(statistic, len(counts) - 1))
