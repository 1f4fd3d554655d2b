"""An arm whose trial has several workers, which train together and end together.

Usage:
    arm = GangArm(trial, [WorkerProcesses(...), ...])      # a part for each holder that has workers
    list(run_block([arm, ...], TurnSettings(), limits, free_bytes))

A turn of the arm is a turn of each worker, and ends when all have ended it. Workers wait between
two windows, where none waits for a sum of all, so that nothing times out meanwhile. If a worker
dies or fails, the others get a few seconds to report; then the arm ends with all their processes.
"""

import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from bench.execution.turns.worker_records import (
    failure_record,
    join_tails,
    merge_records,
    slowest_workers,
)
from bench.protocol.messages import (
    EpochTrained,
    HeartbeatCount,
    Message,
    TrialEnd,
    Turn,
    TurnEnd,
)
from bench.records.epoch_record import EpochRecord
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial

GRACE_S = 3.0
"""Seconds in which the other workers can report what happened after one worker has failed."""
_SLICE_S = 0.1
"""How long the first holder's workers are waited for before those of the others are looked at."""

WorkerMessage = tuple[int, Message | TrialFailure]
"""The index of a worker, and what it reports or how it has ended."""


class GangPart(Protocol):
    """The workers of an arm that one holder has."""

    @property
    def node(self) -> str:
        """The name of their node."""

    @property
    def workers(self) -> Sequence[int]:
        """Their indices."""

    def start(self) -> None:
        """Start their processes."""

    def give(self, turn: Turn) -> None:
        """Let them train."""

    def receive(self, timeout_s: float) -> Sequence[WorkerMessage]:
        """Return what they report next, each end once; nothing if nothing comes in time."""

    def complete(self) -> dict[int, TrialRecord | TrialFailure]:
        """End the workers that have sent their record, and return it with what each used.

        A worker whose end cannot be learned has a failure instead.
        """

    def take_logs(self) -> dict[int, str | None]:
        """Return the end of each worker's log, and delete it."""

    def kill(self) -> Sequence[str]:
        """End their processes and wait until they are gone; return which did not end."""


class GangArm:
    """The arm of ``trial``, whose workers are in ``parts``."""

    def __init__(self, trial: Trial, parts: Sequence[GangPart]) -> None:
        self._trial, self._parts = trial, tuple(parts)
        self._reset()

    def _reset(self) -> None:
        self._unread: deque[WorkerMessage] = deque()
        self._heartbeats: dict[int, int] = {}
        self._epochs: list[EpochRecord] = []
        self._turn_ends: dict[int, TurnEnd] = {}
        self._records: dict[int, TrialRecord] = {}
        self._failures: dict[int, TrialFailure] = {}
        self._training = set(range(self._trial.variant.workers))
        """The workers that hold the turn and have not ended."""

    @property
    def trial(self) -> Trial:
        """What its workers train."""
        return self._trial

    @property
    def lagging(self) -> Sequence[int]:
        """The workers with the fewest heartbeats, for which the others may wait."""
        return slowest_workers(self._heartbeats, self._trial.variant.workers)

    def start(self) -> None:
        """Start all workers."""
        self._reset()
        for part in self._parts:
            part.start()

    def give(self, turn: Turn) -> None:
        """Let all workers train."""
        self._training, self._turn_ends = set(range(self._trial.variant.workers)), {}
        for part in self._parts:
            part.give(turn)

    def receive(self, timeout_s: float) -> Message | TrialFailure | None:
        """Return what the workers report together, or progress of one; None if none comes."""
        if not self._unread:
            self._unread.extend(self._next(timeout_s))
        if not self._unread:
            return None
        worker, message = self._unread.popleft()
        match message:
            case HeartbeatCount(count=count):
                self._heartbeats[worker] = count
            case EpochTrained() if self._keep_epoch(message.record):
                return message
            case TurnEnd() | TrialEnd() | TrialFailure():
                return self._end(worker, message)
            case _:
                pass
        return self._progress

    def kill(self) -> list[str]:
        """End the processes of all workers; return which did not end."""
        return [line for part in self._parts for line in part.kill()]

    def take_log(self) -> str | None:
        """Return the ends of the workers' logs and the tracebacks of those that failed."""
        tails: dict[int, str | None] = {}
        for part in self._parts:
            tails |= part.take_logs()
        for worker, record in self._records.items():
            texts = filter(None, [tails.get(worker), record.log_tail])
            tails[worker] = "\n".join(texts)
        return join_tails(tails)

    @property
    def _progress(self) -> HeartbeatCount:
        """A message that says only that a worker has come further."""
        return HeartbeatCount(count=sum(self._heartbeats.values()))

    def _next(self, timeout_s: float) -> Sequence[WorkerMessage]:
        """Wait for messages of the workers that train; return nothing if none comes in time."""
        ends_at = time.monotonic() + timeout_s
        while True:
            parts = [part for part in self._parts if self._training.intersection(part.workers)]
            if messages := [message for part in parts for message in part.receive(0.0)]:
                return messages
            left_s = ends_at - time.monotonic()
            if not parts or left_s <= 0:
                return ()
            slice_s = left_s if len(parts) == 1 else min(left_s, _SLICE_S)
            if first := parts[0].receive(slice_s):
                return first

    def _end(self, worker: int, message: TurnEnd | TrialEnd | TrialFailure) -> Message:
        """Take the end of a worker's turn or trial; return the arm's if all others have ended."""
        self._keep(worker, message)
        if self._failures or any(r.status != "completed" for r in self._records.values()):
            return TrialEnd(record=self._failed())
        if len(self._records) == self._trial.variant.workers:
            return TrialEnd(record=self._merged())
        if len(self._turn_ends) == self._trial.variant.workers:
            return min(self._turn_ends.values(), key=lambda end: (end.epoch, end.share))
        return self._progress

    def _keep(self, worker: int, message: Message | TrialFailure) -> None:
        match message:
            case TurnEnd():
                self._turn_ends[worker] = message
            case TrialEnd(record=record):
                self._records[worker] = record
            case TrialFailure():
                self._failures[worker] = message
            case EpochTrained(record=epoch):
                self._keep_epoch(epoch)
                return
            case _:
                return
        self._training.discard(worker)

    def _keep_epoch(self, epoch: EpochRecord) -> bool:
        """Keep an epoch that no other worker has reported; return whether it is one."""
        is_new = epoch.epoch == len(self._epochs)
        if is_new:
            self._epochs.append(epoch)
        return is_new

    def _merged(self) -> TrialRecord:
        """Return the record of workers that have all completed."""
        self._complete()
        return self._failure_record() if self._failures else merge_records(self._records)

    def _failed(self) -> TrialRecord:
        """Wait for late answers, and return the record of workers of which one has failed."""
        ends_at = time.monotonic() + GRACE_S
        while True:
            while self._unread:
                self._keep(*self._unread.popleft())
            self._unread.extend(self._next(ends_at - time.monotonic()))
            if not self._unread:
                break
        self._complete()
        return self._failure_record()

    def _failure_record(self) -> TrialRecord:
        nodes = {worker: part.node for part in self._parts for worker in part.workers}
        return failure_record(self._trial, self._records, self._failures, self._epochs, nodes)

    def _complete(self) -> None:
        """End the workers that have sent their records, and complete the records."""
        for part in self._parts:
            for worker, completed in part.complete().items():
                if isinstance(completed, TrialFailure):
                    self._records.pop(worker, None)
                    self._failures.setdefault(worker, completed)
                else:
                    self._records[worker] = completed
