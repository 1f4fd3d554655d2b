"""Groups of two real workers on this machine, and checks that they are cleaned up.

Usage:
    suite = group_suite(epochs=3)
    with assert_cleaned_up(groups): ...
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from bench.execution.executor import EpochEnd, Event
from bench.execution.ray_backend.workers.worker_group import WorkerGroup
from bench.spec.suite import Suite
from tests.support.processes import workers_below
from tests.support.sample_suites import SINGLE, suite_of

GROUP: dict[str, Any] = {"strategy": "multi_worker", "workers": 2, "global_batch_size": 64}
LONG: dict[str, Any] = {**GROUP, "epochs": 20_000}
"""Many short epochs, which something else ends."""


def group_suite(**settings: Any) -> Suite:
    """One trial of two workers."""
    return suite_of(SINGLE, **{**GROUP, **settings})


class Once:
    """Calls a function once, when the first epoch ends."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act: Callable[[], None] | None = act

    def __call__(self, event: Event) -> None:
        """Act on the first finished epoch."""
        if isinstance(event, EpochEnd) and self._act:
            act, self._act = self._act, None
            act()


@contextlib.contextmanager
def assert_cleaned_up(groups: Sequence[WorkerGroup]) -> Iterator[None]:
    """Assert that the block leaves no process, listening port, log or placement group behind."""
    from ray.util import placement_group_table

    yield
    locations = [location for group in groups for location in group.locations.values()]
    assert locations
    pids = {location.pid for location in locations}
    _until(lambda: not any(psutil.pid_exists(pid) for pid in pids))
    assert workers_below(os.getpid()) == []
    assert {location.port for location in locations}.isdisjoint(_listening())
    assert [location.log for location in locations if Path(location.log).exists()] == []
    assert {group["state"] for group in placement_group_table().values()} <= {"REMOVED"}


def _until(happened: Callable[[], bool], seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.1)


def _listening() -> set[int]:
    found = psutil.net_connections("tcp")
    return {c.laddr.port for c in found if c.laddr and c.status == psutil.CONN_LISTEN}
