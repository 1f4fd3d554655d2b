"""Turns end at equal shares of an epoch, and are long enough where epochs are."""

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from bench.execution.turns.schedule import rounds_in_epoch, turn_ends

many_windows = st.lists(st.integers(1, 2000), min_size=1, max_size=7)
times = st.lists(st.floats(1e-4, 1e4), min_size=1, max_size=7)


@given(many_windows, times, st.floats(1e-3, 100))
def test_a_turn_has_two_windows_and_its_time_where_epochs_have_them(
    windows: list[int], epoch_s: list[float], turn_s: float
) -> None:
    rounds = rounds_in_epoch("window", windows, epoch_s, turn_s)
    assert rounds >= 1
    if rounds > 1:
        assert min(windows) / rounds >= 2
        assert min(epoch_s) / rounds >= turn_s * (1 - 1e-9)
    more = rounds + 1
    assert min(windows) / more < 2 or min(epoch_s) / more < turn_s * (1 + 1e-9)


@given(many_windows)
def test_before_an_epoch_is_timed_each_turn_has_a_window_of_the_arm_with_the_fewest(
    windows: list[int],
) -> None:
    assert rounds_in_epoch("window", windows, [], 0.2) == min(windows)


@given(many_windows, times)
def test_an_epoch_is_one_round_if_turns_are_epochs(
    windows: list[int], epoch_s: list[float]
) -> None:
    assert rounds_in_epoch("epoch", windows, epoch_s, 1e-3) == 1


@given(st.integers(1, 500), st.integers(1, 2000))
def test_rounding_moves_no_window_to_another_turn(rounds: int, steps: int) -> None:
    ends = list(turn_ends(rounds))
    assert ends[-1] == 1.0
    for number, end in enumerate(ends, start=1):
        first_step = math.ceil(Fraction(number, rounds) * steps)
        assert (first_step - 1) / steps < end <= first_step / steps
