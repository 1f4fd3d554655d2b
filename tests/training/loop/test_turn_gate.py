"""A program that waits for its turns trains exactly as one that never waits."""

import threading
from typing import Any

import numpy as np
import pytest

from bench.protocol.messages import Turn
from bench.training.loop.epoch_result import EpochResult
from tests.support.training_setup import SteppingClock, TrainingSetup, make_program, small, snapshot

EIGHT_WINDOWS = {"examples": 6400, "global_batch_size": 8}
PAUSE_S = 100.0


class RoundsGate:
    """A gate with ``rounds`` turns an epoch, before each of which the clock moves on."""

    def __init__(self, rounds: int, clock: SteppingClock | None = None) -> None:
        self._rounds, self._clock = rounds, clock or SteppingClock()
        self.entered: list[tuple[int, float, int]] = []

    def enter(self, epoch: int, share: float, windows: int) -> Turn:
        self.entered.append((epoch, share, windows))
        self._clock.now += PAUSE_S
        number = int(share * self._rounds)
        return Turn(
            round=epoch * self._rounds + number,
            epoch=epoch,
            until_share=(number + 1) / self._rounds,
        )


def train(setup: TrainingSetup, epochs: int = 2) -> tuple[list[EpochResult], list[np.ndarray]]:
    setup.program.cold_start()
    results = [setup.program.run_epoch(epoch) for epoch in range(epochs)]
    return results, snapshot(setup.state)


def assert_equal_weights(mine: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "axes",
    [{}, {"norm": "bn_post", "jit": "step"}, {"pipeline": "tfdata", "jit": "none"}],
    ids=str,
)
def test_an_epoch_in_turns_trains_as_one_without(axes: dict[str, Any]) -> None:
    variant, clock = small(**EIGHT_WINDOWS, **axes), SteppingClock()
    at_once, weights = train(make_program(variant, clock=SteppingClock()))
    in_turns, same_weights = train(make_program(variant, clock=clock, gate=RoundsGate(3, clock)))
    assert_equal_weights(weights, same_weights)
    for one, other in zip(at_once, in_turns, strict=True):
        assert (one.loss, one.accuracy) == (other.loss, other.accuracy)
        assert (one.epoch_s, one.window_s) == (other.epoch_s, other.window_s)
        assert one.window_round is None
    assert in_turns[0].window_round == (0, 0, 0, 1, 1, 1, 2, 2)
    assert in_turns[1].window_round == (3, 3, 3, 4, 4, 4, 5, 5)


def test_the_gate_is_asked_only_after_a_turn_and_once_if_an_epoch_is_repeated() -> None:
    gate = RoundsGate(2)
    program = make_program(small(**EIGHT_WINDOWS), clock=SteppingClock(), gate=gate).program
    assert program.run_epoch(0).repeats == 1
    assert gate.entered == [(0, 0.0, 8), (0, 0.5, 8)]
    program.warm_up(warmup_s=0.0, min_timing_s=20.0)
    repeated = program.run_epoch(1)
    assert repeated.repeats > 1
    assert gate.entered[2:] == [(1, 0.0, 1)]
    assert repeated.window_round == (2,) * 8


class Alternation:
    """Gates of two arms of which one trains while the other waits, window after window."""

    def __init__(self) -> None:
        self._may_train = threading.Semaphore(1), threading.Semaphore(0)
        self.training: set[int] = set()

    def gate(self, arm: int) -> "AlternatingGate":
        return AlternatingGate(self, arm)

    def wait(self, arm: int) -> None:
        assert self._may_train[arm].acquire(timeout=60)
        self.training.add(arm)
        assert self.training == {arm}

    def hand_over(self, arm: int) -> None:
        self.training.discard(arm)
        self._may_train[1 - arm].release()


class AlternatingGate:
    """The gate of one of the two."""

    def __init__(self, alternation: Alternation, arm: int) -> None:
        self._alternation, self._arm = alternation, arm

    def enter(self, epoch: int, share: float, windows: int) -> Turn:
        if (epoch, share) != (0, 0.0):
            self._alternation.hand_over(self._arm)
        self._alternation.wait(self._arm)
        return Turn(round=0, epoch=epoch, until_share=share + 1 / windows)


def test_two_arms_that_alternate_train_as_each_alone() -> None:
    variants = [small(**EIGHT_WINDOWS, norm=norm, jit="none") for norm in ("none", "bn_post")]
    alone = [train(make_program(variant))[1] for variant in variants]
    alternation = Alternation()
    setups = [
        make_program(variant, gate=alternation.gate(arm)) for arm, variant in enumerate(variants)
    ]
    for setup in setups:
        setup.program.cold_start()

    def run(arm: int) -> None:
        for epoch in range(2):
            setups[arm].program.run_epoch(epoch)
        alternation.hand_over(arm)

    threads = [threading.Thread(target=run, args=[arm]) for arm in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for setup, weights in zip(setups, alone, strict=True):
        assert_equal_weights(snapshot(setup.state), weights)
