"""The windows of timed epochs are collected with their rounds and the examples of each."""

from typing import Any

import pytest

from bench.analysis.loading.turn_windows import TurnWindows


def record(*epochs: dict[str, Any], window_steps: int = 4) -> dict[str, Any]:
    return {"epochs": epochs, "resolved": {"window_steps": window_steps}}


def epoch(**fields: Any) -> dict[str, Any]:
    whole = {"warmup": False, "steps": 10, "examples": 320, "window_s": [1.0, 2.0, 0.5]}
    return {**whole, "window_round": [3, 3, 4], **fields}


def test_each_window_has_its_trial_round_time_and_examples() -> None:
    collector = TurnWindows()
    collector.add(5, record(epoch(warmup=True), epoch()))
    collector.add(2, record(epoch(window_s=[7.0], window_round=[0], steps=4, examples=8)))
    windows = collector.windows()
    assert windows.trial.tolist() == [5, 5, 5, 2]
    assert windows.round.tolist() == [3, 3, 4, 0]
    assert windows.seconds.tolist() == [1.0, 2.0, 0.5, 7.0]
    assert windows.examples.tolist() == [128.0, 128.0, 64.0, 8.0]


def test_an_epoch_outside_turns_adds_no_window() -> None:
    collector = TurnWindows()
    collector.add(0, record(epoch(window_round=None)))
    without = epoch()
    del without["window_round"]
    collector.add(1, record(without))
    assert len(collector.windows().trial) == 0


@pytest.mark.parametrize(
    "damage",
    [{"window_round": [1]}, {"window_round": ["a", "b", "c"]}, {"window_s": None}],
    ids=str,
)
def test_a_damaged_epoch_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        TurnWindows().add(0, record(epoch(**damage)))
