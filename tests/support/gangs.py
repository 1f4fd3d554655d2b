"""Trials of two real workers on this machine, and checks that nothing of them is left.

Usage:
    suite = gang_suite(epochs=3)
    workers = Workers()                        # an observer of a run's events
    workers.gang[1].kill()                     # the second worker of the trial that has two
    workers.assert_gone()
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import psutil

from bench.execution.executor import EpochEnd, Event, TrialStart
from bench.spec.suite import Suite
from tests.support.processes import workers_below
from tests.support.sample_suites import SINGLE, suite_of

GANG: dict[str, Any] = {"strategy": "multi_worker", "workers": 2, "global_batch_size": 64}
LONG: dict[str, Any] = {**GANG, "epochs": 20_000}
"""Many short epochs, which something else ends."""


def gang_suite(**settings: Any) -> Suite:
    """One trial of two workers."""
    return suite_of(SINGLE, **{**GANG, **settings})


Stage = Literal["starts", "trains", "waits"]
"""What a trial of several workers does: it starts; it has trained an epoch; another one has."""


class Workers:
    """The processes of a run's trials, by worker; ``act`` is called once, in the ``stage``."""

    def __init__(
        self, act: Callable[["Workers"], None] = lambda _: None, stage: Stage = "trains"
    ) -> None:
        self._act: Callable[[Workers], None] | None = act
        self._stage, self._has_trained = stage, False
        self._logs: dict[str, tuple[str, ...]] = {}
        self.ports: set[int] = set()

    def __call__(self, event: Event) -> None:
        """Note the logs of a trial that starts; act once the stage has come."""
        happened: Stage | None = None
        if isinstance(event, TrialStart):
            self._logs[event.trial.trial_id] = event.logs
            happened = "starts" if len(event.logs) > 1 else None
        elif isinstance(event, EpochEnd):
            is_gang = len(self._logs[event.trial_id]) > 1
            happened = "trains" if is_gang else "waits" if self._has_trained else None
            self._has_trained = self._has_trained or is_gang
        if happened == self._stage and self._act:
            self.ports = _listening({p.pid for p in workers_below(os.getpid())})
            act, self._act = self._act, None
            act(self)

    @property
    def gang(self) -> list[psutil.Process]:
        """The processes of the trial with several workers, in the order of the workers."""
        (logs,) = (logs for logs in self._logs.values() if len(logs) > 1)
        by_log: dict[str, psutil.Process] = {}

        def have_started() -> bool:
            processes = workers_below(os.getpid())
            by_log.update({str(Path(f"/proc/{p.pid}/fd/1").readlink()): p for p in processes})
            return by_log.keys() >= set(logs)

        _until(have_started, seconds=60.0)
        return [by_log[log] for log in logs]

    def assert_gone(self) -> None:
        """Assert that no process, port, log or placement group is left."""
        from ray.util import placement_group_table

        logs = [log for logs in self._logs.values() for log in logs]
        assert logs
        _until(lambda: not workers_below(os.getpid()))
        _until(lambda: self.ports.isdisjoint(_listening()))
        assert not [log for log in logs if Path(log).exists()]
        assert {group["state"] for group in placement_group_table().values()} <= {"REMOVED"}


def _until(happened: Callable[[], bool], seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.1)


def _listening(pids: set[int] | None = None) -> set[int]:
    found = psutil.net_connections("tcp")
    return {
        c.laddr.port
        for c in found
        if c.laddr and c.status == psutil.CONN_LISTEN and (pids is None or c.pid in pids)
    }
