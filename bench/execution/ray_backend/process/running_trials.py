"""Keep what the running trials have reported, for their records if Ray's process is lost.

Usage:
    running = RunningTrials()
    running.note(event); running.remove(record)
    yield from running.cut_short("worker_lost", reason)
"""

import time
from collections.abc import Iterator

from bench.execution.executor import EpochEnd, Event, TrialStart
from bench.execution.ray_backend.workers.epoch_log import epoch_lines, with_lines
from bench.records.epoch_record import EpochRecord
from bench.records.trial_record import Status, TrialRecord


class RunningTrials:
    """The trials that run, with their reported epochs."""

    def __init__(self) -> None:
        self._started: dict[str, tuple[TrialStart, float]] = {}
        self._epochs: dict[str, list[EpochRecord]] = {}

    def note(self, event: Event) -> None:
        """Remember a started trial, or an epoch of one."""
        if isinstance(event, TrialStart):
            self._started[event.trial.trial_id] = event, time.perf_counter()
            self._epochs[event.trial.trial_id] = []
        elif isinstance(event, EpochEnd):
            self._epochs.setdefault(event.trial_id, []).append(event.epoch)

    def remove(self, record: TrialRecord) -> None:
        """Forget a trial that has its record."""
        self._started.pop(record.trial.trial_id, None)

    def cut_short(self, status: Status, reason: str) -> Iterator[TrialRecord]:
        """Yield the records of the running trials, with the epochs in their workers' local logs."""
        while self._started:
            trial_id, (event, since) = self._started.popitem()
            epochs = tuple(self._epochs[trial_id])
            for log in event.logs:
                epochs = with_lines(epochs, epoch_lines(log))
            yield TrialRecord(
                trial=event.trial,
                status=status,
                error=reason,
                node=event.where,
                epochs=epochs,
                wall_s=time.perf_counter() - since,
            )
