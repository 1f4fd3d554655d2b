"""A trial trains in its turns only, stops at the share of a turn, and reports its windows."""

import itertools
import queue
import threading
import time
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from bench.protocol.messages import Turn, TurnEnd
from bench.training.trial_process.turns import TurnTaker

PATIENCE_S = 60.0


class Holder:
    """Gives the turns of a list, one whenever the trial waits; keeps what the trial reports."""

    def __init__(self, turns: list[Turn]) -> None:
        self._turns = iter(turns)
        self.ends: list[TurnEnd] = []
        self.taker = TurnTaker(self._answer, itertools.count(1.0).__next__)

    def _answer(self, end: TurnEnd) -> None:
        self.ends.append(end)
        self.taker.give(next(self._turns))


def train(taker: TurnTaker, epochs: int, windows: int) -> None:
    for epoch, done in itertools.product(range(epochs), range(windows)):
        with taker.window(epoch, done, windows):
            pass


def turns_of(epochs: int, rounds: int) -> list[Turn]:
    """Return turns that divide each epoch into ``rounds`` equal parts."""
    places = itertools.product(range(epochs), range(1, rounds + 1))
    return [
        Turn(round=number, epoch=epoch, until_share=part / rounds)
        for number, (epoch, part) in enumerate(places)
    ]


@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12))
def test_arms_with_unlike_windows_are_at_the_same_share_in_a_round(
    epochs: int, windows: int, rounds: int
) -> None:
    holder = Holder(turns_of(epochs, rounds))
    train(holder.taker, epochs, windows)
    first, *others = holder.ends
    assert (first.round, first.epoch, first.share, first.windows) == (None, 0, 0.0, ())
    for end in others:
        assert end.round is not None
        # The first window that starts at or beyond the share that the turn named.
        passed = Fraction(end.round + 1, rounds)
        here = end.epoch + Fraction(round(end.share * windows), windows)
        assert passed <= here < passed + Fraction(1, windows)
    assert sum(len(end.windows) for end in holder.ends) <= epochs * windows


def test_windows_carry_their_times_and_their_turn() -> None:
    holder = Holder(
        [Turn(round=3, epoch=0, until_share=0.5), Turn(round=4, epoch=0, until_share=1)]
    )
    train(holder.taker, epochs=1, windows=4)
    _, end = holder.ends
    assert (end.round, end.epoch, end.share) == (3, 0, 0.5)
    assert [(window.start_s, window.window_s) for window in end.windows] == [(1, 1), (3, 1)]
    assert all(window.cpu_s < PATIENCE_S for window in end.windows)


def test_a_turn_may_span_epochs() -> None:
    holder = Holder([Turn(round=0, epoch=1, until_share=1.0)])
    train(holder.taker, epochs=2, windows=3)
    assert len(holder.ends) == 1


def test_a_turn_that_is_over_before_it_begins_is_answered_at_once() -> None:
    turns = [Turn(round=0, epoch=0, until_share=0.0), Turn(round=1, epoch=0, until_share=1.0)]
    holder = Holder(turns)
    train(holder.taker, epochs=1, windows=1)
    assert [(end.round, end.windows) for end in holder.ends] == [(None, ()), (0, ())]


def test_a_trial_that_waits_uses_no_core_and_goes_on_with_its_turn() -> None:
    ends: queue.SimpleQueue[TurnEnd] = queue.SimpleQueue()
    taker = TurnTaker(ends.put)
    used_s: list[float] = []

    def trial() -> None:
        before_s = time.thread_time()
        with taker.window(0, 0, 1):
            used_s.append(time.thread_time() - before_s)

    thread = threading.Thread(target=trial, daemon=True)
    thread.start()
    assert ends.get(timeout=PATIENCE_S).round is None
    time.sleep(0.5)
    assert not used_s
    taker.give(Turn(round=0, epoch=0, until_share=1.0))
    thread.join(PATIENCE_S)
    # CPU time, which other load does not lengthen: half a second of waiting is in none of it.
    assert used_s[0] < 0.1
