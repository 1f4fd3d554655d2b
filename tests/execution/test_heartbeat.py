"""Ray's process says that it lives, and ends where Ray keeps it waiting and does not answer."""

import time
from dataclasses import dataclass
from typing import NoReturn

import pytest

from bench.execution import heartbeat
from bench.execution.address import raylet_answers
from bench.execution.heartbeat import beat
from bench.execution.ray_executor import RayExecutor
from bench.execution.ray_messages import Alive

BEATS = 3


@dataclass
class Looking:
    """In an executor's place: it began to look at Ray a while ago."""

    looked_at: float
    head: str = "head"
    raylet: str = "raylet"


class GoneError(Exception):
    """In the place of the end of this process, whose code it holds."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    def exits(code: int) -> NoReturn:
        raise GoneError(code)

    monkeypatch.setattr(heartbeat, "BEAT_S", 0.01)
    monkeypatch.setattr("os._exit", exits)


def beats_of(looking: Looking) -> list[Alive]:
    """What the run hears, which ends after some beats."""
    heard: list[Alive] = []

    def hear(message: Alive) -> None:
        if len(heard) == BEATS:
            raise BrokenPipeError
        heard.append(message)

    beat(looking, hear)
    return heard


@pytest.mark.parametrize("silent", ["head", "raylet"])
def test_a_look_that_takes_long_where_ray_is_silent_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    monkeypatch.setattr(heartbeat, "answers", lambda address: address != silent)
    monkeypatch.setattr(heartbeat, "raylet_answers", lambda address: address != silent)
    with pytest.raises(GoneError, match="1"):
        beats_of(Looking(time.monotonic() - heartbeat.STALLED_S - 1))
    assert beats_of(Looking(time.monotonic())) == [Alive()] * BEATS


def test_a_look_that_takes_long_goes_on_where_ray_answers(ray_executor: RayExecutor) -> None:
    assert raylet_answers(ray_executor.raylet)
    looking = Looking(
        time.monotonic() - heartbeat.STALLED_S - 1, ray_executor.head, ray_executor.raylet
    )
    assert beats_of(looking) == [Alive()] * BEATS
