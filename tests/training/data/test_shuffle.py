"""An epoch's order has every example once, differs between epochs, and is reproducible."""

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


def full_order(order: Shuffle, examples: int, epoch: int = 0) -> np.ndarray:
    actual: np.ndarray = order.window(order.epoch_order(epoch), 0, examples).numpy()
    return actual


def bijection(size: int, seed: int, epoch: int, positions: np.ndarray | None = None) -> np.ndarray:
    positions = np.arange(size) if positions is None else positions
    key = tf.constant([seed, epoch], tf.int64)
    actual: np.ndarray = swap_or_not(tf.constant(positions, tf.int64), size, key).numpy()
    return actual


def test_up_to_ten_million_examples_are_permuted_and_more_use_a_bijection() -> None:
    assert Shuffle(MAX_PERMUTATION, 1).method == "permutation"
    assert Shuffle(MAX_PERMUTATION + 1, 1).method == "bijection"


@FEW
@given(st.integers(1, 3000), SEEDS, st.integers(0, 1000))
def test_the_bijection_has_every_example_once_for_any_size(
    size: int, seed: int, epoch: int
) -> None:
    assert sorted(bijection(size, seed, epoch).tolist()) == list(range(size))


@FEW
@given(st.integers(1, 3000), SEEDS, st.integers(0, 1000))
def test_the_permutation_has_every_example_once_for_any_size(
    size: int, seed: int, epoch: int
) -> None:
    actual = full_order(order_of("permutation", size, seed), size, epoch)
    assert sorted(actual.tolist()) == list(range(size))


@pytest.mark.parametrize("method", METHODS)
def test_orders_differ_by_epoch_and_by_seed(method: str) -> None:
    orders = [
        tuple(full_order(order_of(method, 100, seed), 100, epoch))
        for seed in range(4)
        for epoch in range(4)
    ]
    assert len(set(orders)) == 16


@pytest.mark.parametrize("method", METHODS)
def test_equal_seeds_and_epochs_have_equal_orders(method: str) -> None:
    first, second = (full_order(order_of(method, 1000, 5), 1000, 2) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("method", METHODS)
def test_an_epoch_may_be_a_tensor(method: str) -> None:
    order = order_of(method, 100)
    by_tensor = order.window(order.epoch_order(tf.constant(3, tf.int64)), 0, 100)
    np.testing.assert_array_equal(by_tensor.numpy(), full_order(order, 100, 3))


@pytest.mark.parametrize("method", METHODS)
def test_consecutive_windows_make_up_the_epoch(method: str) -> None:
    order = order_of(method, 1000)
    epoch_order = order.epoch_order(4)
    parts = [order.window(epoch_order, start, 250).numpy() for start in range(0, 1000, 250)]
    np.testing.assert_array_equal(np.concatenate(parts), full_order(order, 1000, 4))


@FEW
@given(st.integers(2**32, 2**50), SEEDS, st.data())
def test_sizes_beyond_32_bits_stay_in_range_and_do_not_collide(
    size: int, seed: int, data: st.DataObject
) -> None:
    positions = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=50, unique=True))
    actual = bijection(size, seed, 0, np.array([*positions]))
    assert ((actual >= 0) & (actual < size)).all()
    assert len(set(actual.tolist())) == len(positions)


def test_beyond_32_bits_neighbours_are_scattered_over_the_full_range() -> None:
    size = 2**40 + 7
    actual = bijection(size, 1, 0, np.arange(4000))
    counts = np.histogram(actual, bins=16, range=(0, size))[0]
    assert chi_squared_p(counts) > 1e-4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [7, 64])
def test_each_example_has_each_position_equally_often(method: str, size: int) -> None:
    epochs = 30 * size
    order = order_of(method, size, seed=3)
    actual = np.stack([full_order(order, size, epoch) for epoch in range(epochs)])
    counts = np.stack([np.bincount(column, minlength=size) for column in actual.T])
    # Rows and columns both add up to the number of epochs: (size - 1)^2 degrees of freedom.
    expected = epochs / size
    statistic = float(np.square(counts - expected).sum() / expected)
    assert chi2.sf(statistic, (size - 1) ** 2) > 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_neighbours_do_not_stay_together(method: str) -> None:
    actual = full_order(order_of(method, 10_000), 10_000)
    steps = np.diff(actual)
    # In a random order, two of 10,000 neighbours stay adjacent on average.
    assert (np.abs(steps) == 1).sum() < 15
    assert abs(np.corrcoef(actual[:-1], actual[1:])[0, 1]) < 0.05


def chi_squared_p(counts: np.ndarray) -> float:
    expected = counts.mean()
    statistic = float(np.square(counts - expected).sum() / expected)
    return float(chi2.sf(statistic, len(counts) - 1))
