"""Where workers post how far they have come, so that a death loses no finished epoch.

Usage:
    with progress_reporter(board, gang, worker, pulse) as post:
        post(epoch)           # an epoch that has ended
    for news in ray.get(board.drain.remote()): ...
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ray

PULSE_S = 5.0
_ARRIVAL_S = 5.0


class ProgressUpdate(NamedTuple):
    """How far a worker has come with its trial, and the epoch that it has finished, if it has."""

    gang: str
    """Whose: another try of the same trial has another key."""
    worker: int
    beats: int
    epoch_json: str | None = None


class ProgressActor:
    """An actor's class: it outlives every worker."""

    def __init__(self) -> None:
        self._posted: list[ProgressUpdate] = []

    def report(self, news: ProgressUpdate) -> None:
        """Keep one epoch, or a mere sign of life, until the driver asks."""
        self._posted.append(news)

    def drain(self) -> list[ProgressUpdate]:
        """All that was posted since the last call, in order."""
        posted, self._posted = self._posted, []
        return posted


@contextlib.contextmanager
def progress_reporter(
    board: Any, gang: str, worker: int, pulse: Any
) -> Iterator[Callable[[Any], None]]:
    """A function that posts an epoch; beside it, whenever ``pulse`` has moved, a sign of life.

    At the end, what was posted has arrived, where the board still lives.
    """
    last: Any = None

    def post(epoch: Any = None) -> None:
        nonlocal last
        told = epoch and epoch.model_dump_json()
        last = board.report.remote(ProgressUpdate(gang, worker, pulse.count, told))

    over = threading.Event()

    def watch() -> None:
        seen = -1
        while not over.wait(PULSE_S):
            if pulse.count != seen:
                seen = pulse.count
                post()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield post
    finally:
        over.set()
        watcher.join()
        if last is not None:
            ray.wait([last], timeout=_ARRIVAL_S)
