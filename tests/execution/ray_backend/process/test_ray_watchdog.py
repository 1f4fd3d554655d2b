"""Ray's process sends heartbeats, and ends if Ray blocks it and does not answer."""

import time
from dataclasses import dataclass
from typing import NoReturn

import pytest

from bench.execution.ray_backend.cluster.head_address import raylet_answers
from bench.execution.ray_backend.process import ray_watchdog
from bench.execution.ray_backend.process.ray_messages import ProcessHeartbeat
from bench.execution.ray_backend.process.ray_watchdog import watch
from bench.execution.ray_backend.ray_executor import RayExecutor

BEATS = 3


@dataclass
class FakeExecutor:
    """A stand-in for an executor that began to poll Ray a while ago."""

    polled_at: float
    head: str = "head"
    raylet: str = "raylet"


class GoneError(Exception):
    """Stands in for the exit of this process, with its code."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    def exits(code: int) -> NoReturn:
        raise GoneError(code)

    monkeypatch.setattr(ray_watchdog, "BEAT_S", 0.01)
    monkeypatch.setattr("os._exit", exits)


def heartbeats_of(executor: FakeExecutor) -> list[ProcessHeartbeat]:
    """The heartbeats that the run receives before it ends."""
    received: list[ProcessHeartbeat] = []

    def receive(message: ProcessHeartbeat) -> None:
        if len(received) == BEATS:
            raise BrokenPipeError
        received.append(message)

    watch(executor, receive)
    return received


@pytest.mark.parametrize("silent", ["head", "raylet"])
def test_a_long_poll_of_a_silent_ray_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    monkeypatch.setattr(ray_watchdog, "is_alive", lambda address: address != silent)
    monkeypatch.setattr(ray_watchdog, "raylet_answers", lambda address: address != silent)
    with pytest.raises(GoneError, match="1"):
        heartbeats_of(FakeExecutor(time.monotonic() - ray_watchdog.STALLED_S - 1))
    assert heartbeats_of(FakeExecutor(time.monotonic())) == [ProcessHeartbeat()] * BEATS


def test_a_long_poll_continues_while_ray_answers(ray_executor: RayExecutor) -> None:
    assert raylet_answers(ray_executor.raylet)
    executor = FakeExecutor(
        time.monotonic() - ray_watchdog.STALLED_S - 1, ray_executor.head, ray_executor.raylet
    )
    assert heartbeats_of(executor) == [ProcessHeartbeat()] * BEATS
