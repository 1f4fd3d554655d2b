"""Windows cover an epoch, in one size if the number of steps has a suitable divisor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.training.data.windows import (
    FEWEST_WINDOWS,
    TINY_EPOCH_STEPS,
    WINDOW_STEPS,
    WINDOWS_PER_EPOCH,
    split_windows,
    window_steps,
)
from tests.support.training_setup import FEW

LOW, HIGH = WINDOW_STEPS


@FEW
@given(st.integers(1, 200_000))
def test_windows_cover_every_step_once_in_at_most_two_sizes(steps: int) -> None:
    windows = list(split_windows(steps))
    starts = [first for first, _ in windows]
    ends = [first + count for first, count in windows]
    assert starts == [0, *ends[:-1]]
    assert ends[-1] == steps
    sizes = [count for _, count in windows]
    assert set(sizes[:-1]) <= {window_steps(steps)}
    assert sizes[-1] <= window_steps(steps)


@given(st.integers(TINY_EPOCH_STEPS, 10_000_000))
def test_an_epoch_has_two_turns_of_two_windows(steps: int) -> None:
    assert len(list(split_windows(steps))) >= FEWEST_WINDOWS == 4


@given(st.integers(1, 10_000_000))
def test_a_window_is_short_however_long_its_epoch(steps: int) -> None:
    assert window_steps(steps) <= 256


@FEW
@given(st.integers(FEWEST_WINDOWS * LOW, 10_000_000))
def test_a_window_is_an_eighth_of_an_epoch_or_less_within_bounds(steps: int) -> None:
    size = window_steps(steps)
    assert LOW / 2 <= size <= HIGH
    if steps >= WINDOWS_PER_EPOCH * LOW:
        assert steps / size >= WINDOWS_PER_EPOCH - 1
    if steps <= WINDOWS_PER_EPOCH * HIGH:
        assert steps / size <= 2 * WINDOWS_PER_EPOCH


@FEW
@given(st.integers(LOW, HIGH))
def test_an_eighth_that_divides_an_epoch_is_its_window(size: int) -> None:
    assert window_steps(size * WINDOWS_PER_EPOCH) == size


@FEW
@given(st.integers(HIGH // 2, HIGH), st.integers(2 * WINDOWS_PER_EPOCH, 10_000))
def test_windows_divide_a_long_epoch_that_a_number_within_bounds_divides(
    size: int, windows: int
) -> None:
    steps = size * windows
    assert steps % window_steps(steps) == 0


@pytest.mark.parametrize("steps", [1, 2, 15])
def test_a_tiny_epoch_is_one_window(steps: int) -> None:
    assert list(split_windows(steps)) == [(0, steps)]


def test_a_batch_of_512_has_four_windows() -> None:
    assert [count for _, count in split_windows(55_000 // 512)] == [27, 27, 27, 26]


@pytest.mark.parametrize(
    ("steps", "size"), [(128, 32), (400, 50), (429, 39), (2_000, 250), (20_000, 250)]
)
def test_windows_divide_the_epochs_of_shipped_suites(steps: int, size: int) -> None:
    assert {count for _, count in split_windows(steps)} == {size}


def test_the_notebooks_epoch_has_eight_windows() -> None:
    # 1718 is twice a prime: no divisor is within bounds, so the last window is shorter.
    assert window_steps(55_000 // 32) == 215
    assert [count for _, count in split_windows(1718)] == [215] * 7 + [213]
