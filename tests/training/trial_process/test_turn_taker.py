"""A trial trains in its turns only, and stops at the share that a turn names."""

import itertools
import queue
import threading
import time
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from bench.protocol.messages import Turn, TurnEnd
from bench.training.trial_process.turn_taker import TurnTaker

PATIENCE_S = 60.0


class Holder:
    """Gives the turns of a list, one whenever the trial waits; keeps what the trial reports."""

    def __init__(self, turns: list[Turn]) -> None:
        self._turns = iter(turns)
        self.ends: list[TurnEnd] = []
        self.taker = TurnTaker(self._answer)

    def _answer(self, end: TurnEnd) -> None:
        self.ends.append(end)
        self.taker.give(next(self._turns))

    def rounds(self, epochs: int, windows: int) -> list[int | None]:
        """Train, and return the round of each window."""
        places = itertools.product(range(epochs), range(windows))
        return [self.taker.enter(epoch, done / windows, windows).round for epoch, done in places]


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
    trained = Holder(turns_of(epochs, rounds)).rounds(epochs, windows)
    # A window belongs to the round in whose part of the epoch it starts.
    starts = [epoch + Fraction(done, windows) for epoch in range(epochs) for done in range(windows)]
    assert trained == [int(start * rounds) for start in starts]


def test_the_first_end_says_that_the_trial_is_ready() -> None:
    holder = Holder(
        [Turn(round=3, epoch=0, until_share=0.5), Turn(round=4, epoch=1, until_share=1)]
    )
    assert holder.rounds(epochs=2, windows=4) == [3, 3, 4, 4, 4, 4, 4, 4]
    assert holder.ends == [
        TurnEnd(epoch=0, share=0.0, windows=4),
        TurnEnd(epoch=0, share=0.5, windows=4),
    ]


def test_a_turn_that_is_over_before_it_begins_is_answered_at_once() -> None:
    turns = [Turn(round=0, epoch=0, until_share=0.0), Turn(round=1, epoch=0, until_share=1.0)]
    holder = Holder(turns)
    assert holder.rounds(epochs=1, windows=1) == [1]
    assert len(holder.ends) == 2


def test_a_trial_that_waits_uses_no_core() -> None:
    ends: queue.SimpleQueue[TurnEnd] = queue.SimpleQueue()
    taker, used_s = TurnTaker(ends.put), list[float]()

    def trial() -> None:
        before_s = time.thread_time()
        taker.enter(0, 0.0, 1)
        used_s.append(time.thread_time() - before_s)

    thread = threading.Thread(target=trial, daemon=True)
    thread.start()
    assert ends.get(timeout=PATIENCE_S).share == 0.0
    time.sleep(0.5)
    assert not used_s
    taker.give(Turn(round=0, epoch=0, until_share=1.0))
    thread.join(PATIENCE_S)
    # CPU time, which no other load lengthens: the half second of waiting is not in it.
    assert used_s[0] < 0.1
