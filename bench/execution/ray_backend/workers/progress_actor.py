"""Collect the progress of workers in an actor, so that a worker's death loses no finished epoch.

Usage:
    with progress_reporter(actor, group_key, worker, heartbeat) as report:
        report(epoch)         # an epoch that has ended
    for update in ray.get(actor.drain.remote()): ...
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ray

REPORT_INTERVAL_S = 5.0
_ARRIVAL_S = 5.0


class ProgressUpdate(NamedTuple):
    """A worker's progress in its trial, and the epoch that it has just finished, if any."""

    group_key: str
    """The worker group's key, which differs between attempts at a trial."""
    worker: int
    heartbeats: int
    epoch_json: str | None = None


class ProgressActor:
    """The class of the actor, which outlives every worker."""

    def __init__(self) -> None:
        self._updates: list[ProgressUpdate] = []

    def report(self, update: ProgressUpdate) -> None:
        """Keep an update until the driver fetches it."""
        self._updates.append(update)

    def drain(self) -> list[ProgressUpdate]:
        """Return all updates since the last call, in order."""
        updates, self._updates = self._updates, []
        return updates


@contextlib.contextmanager
def progress_reporter(
    actor: Any, group_key: str, worker: int, heartbeat: Any
) -> Iterator[Callable[[Any], None]]:
    """Yield a function that reports an epoch; meanwhile report each change of the heartbeat count.

    At the end, all reports have arrived, if the actor is alive.
    """
    last: Any = None

    def report(epoch: Any = None) -> None:
        nonlocal last
        epoch_json = epoch and epoch.model_dump_json()
        update = ProgressUpdate(group_key, worker, heartbeat.count, epoch_json)
        last = actor.report.remote(update)

    over = threading.Event()

    def watch() -> None:
        reported = -1
        while not over.wait(REPORT_INTERVAL_S):
            if heartbeat.count != reported:
                reported = heartbeat.count
                report()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield report
    finally:
        over.set()
        watcher.join()
        if last is not None:
            ray.wait([last], timeout=_ARRIVAL_S)
