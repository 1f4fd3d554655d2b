"""Keep what the driver knows of a trial that runs, for its record if its holders end before it.

Usage:
    arm = LiveArm(trial, locations)
    arm.epochs.append(epoch)
    arm.record("interrupted", "the run was interrupted", lines=())
    arm.failed(error, take_worker_logs(locations))
"""

import time
from collections.abc import Mapping, Sequence

from bench.execution.ray_backend.workers.epoch_log import with_lines
from bench.execution.ray_backend.workers.worker_failure import classify_failure
from bench.execution.ray_backend.workers.worker_location import WorkerLocation
from bench.execution.ray_backend.workers.worker_log import WorkerLog
from bench.execution.turns.worker_records import join_tails
from bench.records.epoch_record import EpochRecord
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Trial


class LiveArm:
    """A trial that has started and has no record yet."""

    def __init__(self, trial: Trial, locations: Sequence[WorkerLocation]) -> None:
        self.trial, self.locations = trial, tuple(locations)
        """Where its workers run; empty if that is not known."""
        self.restart()

    def restart(self) -> None:
        """Count its time and its epochs anew."""
        self.started = time.perf_counter()
        self.epochs: list[EpochRecord] = []

    def record(
        self, status: Status, reason: str, lines: Sequence[str], log_tail: str | None = None
    ) -> TrialRecord:
        """Return its record, with the epochs that it has reported and those in ``lines``."""
        return TrialRecord(
            trial=self.trial,
            status=status,
            error=reason,
            log_tail=log_tail,
            node=self.locations[0].node if self.locations else None,
            epochs=with_lines(self.epochs, lines),
            wall_s=time.perf_counter() - self.started,
        )

    def failed(
        self, cause: TrialFailure | Exception, logs: Mapping[WorkerLocation, WorkerLog]
    ) -> TrialRecord:
        """Return its record after the end of its holders, which leave ``logs``."""
        own = {worker: logs.get(location) for worker, location in enumerate(self.locations)}
        chief, tails = own.get(0), {worker: log.log_tail for worker, log in own.items() if log}
        if not isinstance(cause, TrialFailure):
            cause = classify_failure(cause, self.locations[0] if self.locations else None, chief)
        tail = tails.get(0) if self.trial.variant.workers == 1 else join_tails(tails)
        return self.record(*cause, chief.epochs if chief else (), tail)
