"""Gangs of two real workers on this machine, and what is left of them afterwards.

Usage:
    asked = gang_suite(epochs=3)
    with nothing_left(gangs): ...
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from bench.execution.executor import EpochEnded, Event
from bench.execution.ray_backend.worker_group import WorkerGroup
from bench.spec.suite import Suite
from tests.support.processes import workers_below
from tests.support.sample_suites import SINGLE, suite_of

GANG: dict[str, Any] = {"strategy": "multi_worker", "workers": 2, "global_batch_size": 64}
LONG: dict[str, Any] = {**GANG, "epochs": 20_000}
"""Many short epochs, to be ended by something else."""


def gang_suite(**settings: Any) -> Suite:
    """One trial of two workers."""
    return suite_of(SINGLE, **{**GANG, **settings})


class Once:
    """Does something once, as the first epoch ends."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act: Callable[[], None] | None = act

    def __call__(self, event: Event) -> None:
        """Look at an event."""
        if isinstance(event, EpochEnded) and self._act:
            act, self._act = self._act, None
            act()


@contextlib.contextmanager
def nothing_left(gangs: Sequence[WorkerGroup]) -> Iterator[None]:
    """What runs inside leaves no process, listening port, log or placement group behind."""
    from ray.util import placement_group_table

    yield
    places = [place for gang in gangs for place in gang.places.values()]
    assert places
    pids = {place.pid for place in places}
    _until(lambda: not any(psutil.pid_exists(pid) for pid in pids))
    assert workers_below(os.getpid()) == []
    assert {place.port for place in places}.isdisjoint(_listening())
    assert [place.log for place in places if Path(place.log).exists()] == []
    assert {group["state"] for group in placement_group_table().values()} <= {"REMOVED"}


def _until(happened: Callable[[], bool], seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.1)


def _listening() -> set[int]:
    found = psutil.net_connections("tcp")
    return {c.laddr.port for c in found if c.laddr and c.status == psutil.CONN_LISTEN}
