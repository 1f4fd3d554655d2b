"""Windows cover an epoch, in two sizes at most."""

from hypothesis import given
from hypothesis import strategies as st

from bench.training.windows import WINDOW_STEPS, split, window_steps
from tests.training_made import FEW


@FEW
@given(st.integers(1, 10_000_000))
def test_windows_cover_every_step_once_in_at_most_two_sizes(steps: int) -> None:
    steps = min(steps, 200_000)
    windows = list(split(steps))
    starts = [first for first, _ in windows]
    ends = [first + count for first, count in windows]
    assert starts == [0, *ends[:-1]]
    assert ends[-1] == steps
    sizes = [count for _, count in windows]
    assert set(sizes[:-1]) <= {window_steps(steps)}
    assert sizes[-1] <= window_steps(steps)


@FEW
@given(st.integers(1, 10_000_000))
def test_a_window_is_an_eighth_of_an_epoch_within_bounds(steps: int) -> None:
    low, high = WINDOW_STEPS
    size = window_steps(steps)
    assert size <= high
    assert size == steps or size >= low
    if 8 * low < steps <= 8 * high:
        assert -(-steps // size) == 8 or size == -(-steps // 8)


def test_the_notebooks_epoch_has_eight_windows() -> None:
    assert window_steps(55_000 // 32) == 215
    assert [count for _, count in split(1718)] == [215] * 7 + [213]
