"""One block on its way through a Ray cluster: its devices, its trials, the one that runs.

A lane reserves its devices once, by a placement group, and keeps them until its last trial
has ended: all arms of a comparison run on the same ones. Each trial gets a gang of fresh
processes in it.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from bench.execution.cluster import Reservation
from bench.execution.executor import EpochEnded, Limits, OnEvent, Started
from bench.execution.gang import Gang
from bench.execution.verdict import ended, in_trouble, port_was_taken, together
from bench.records.record import EpochRecord, Status, TrialRecord
from bench.spec.plan import Block, Trial

_PORT_TRIES = 3


class Lane:
    """A block in flight. ``pending`` is what must be ready before ``advance`` can do more."""

    def __init__(
        self,
        block: Block,
        reservation: Reservation,
        limits: Limits,
        on_event: OnEvent,
        data_of: Callable[[Trial], Any],
        board: Any,
    ) -> None:
        self.reservation = reservation
        self._queue = deque(block.trials)
        self._limits, self._on_event = limits, on_event
        self._data_of, self._board = data_of, board
        self._group: PlacementGroup = placement_group(
            list(reservation.bundles),
            strategy=reservation.strategy,
            bundle_label_selector=reservation.selectors,
        )
        self._reserved: Any = self._group.ready()
        self._gang: Gang | None = None
        self._attempts: dict[str, int] = {}
        self._port_tries = 0
        self._started = self._news_at = 0.0
        self.epochs: list[EpochRecord] = []

    @property
    def done(self) -> bool:
        """Whether no trial is left."""
        return self._gang is None and not self._queue

    @property
    def trial_id(self) -> str | None:
        """The trial that runs now."""
        return self._gang.trial.trial_id if self._gang else None

    @property
    def pending(self) -> list[Any]:
        """What Ray has still to answer."""
        if self._gang is not None:
            return self._gang.pending
        return [self._reserved] if self._queue else []

    def add_news(self, epoch: EpochRecord | None) -> None:
        """The running trial has come further, maybe by an epoch (told by each worker)."""
        self._news_at = time.perf_counter()
        if epoch is not None and epoch.epoch == len(self.epochs) and self._gang:
            self.epochs.append(epoch)
            self._on_event(EpochEnded(self._gang.trial.trial_id, epoch))

    def advance(self, ready: Sequence[Any]) -> Iterator[TrialRecord]:
        """Take the next step now that some of ``pending`` are ready; a record at a trial's end."""
        if self._gang is None:
            self._start_next()
            return
        self._gang.settle(ready)
        if self._gang.troubled:
            yield from self._trouble(self._gang)
        elif self._gang.finished:
            record = together(self._gang)
            # The news of the last epochs may be slower than the record.
            for epoch in record.epochs[len(self.epochs) :]:
                self.add_news(epoch)
            yield self._end(record)
        elif self._gang.placed and not self._gang.pending:
            self._on_event(Started(self._gang.trial, self._gang.places[0].node))
            self._gang.train(self._data_of(self._gang.trial), self._board)

    def expire(self) -> Iterator[TrialRecord]:
        """End the running trial where its time is over, or where it has stopped moving."""
        if self._gang is None:
            return
        now, limits = time.perf_counter(), self._limits
        if now - self._started > limits.trial_timeout_s:
            over = f"its time limit of {limits.trial_timeout_s:g} s: raise trial_timeout_s"
        elif now - self._news_at > limits.stall_timeout_s:
            over = f"{limits.stall_timeout_s:g} s without progress: raise stall_timeout_s if slow"
        else:
            return
        reason = f"ended after {over}"
        yield self._end(self._ended(self._gang, "timed_out", reason))

    def interrupt(self) -> Iterator[TrialRecord]:
        """End the running trial since the run is being ended."""
        if self._gang is not None:
            yield self._end(self._ended(self._gang, "interrupted", "the run was interrupted"))

    def close(self) -> None:
        """Give the devices back."""
        if self._gang is not None:
            self._gang.kill()
            self._gang = None
        remove_placement_group(self._group)

    def _start_next(self) -> None:
        trial = self._queue.popleft()
        self._attempts[trial.trial_id] = self._attempts.get(trial.trial_id, 0) + 1
        self.epochs = []
        self._started = self._news_at = time.perf_counter()
        self._gang = Gang(trial, self._group, self.reservation)

    def _trouble(self, gang: Gang) -> Iterator[TrialRecord]:
        gang.kill()
        record = in_trouble(gang, self.epochs)
        if port_was_taken(record) and self._port_tries < _PORT_TRIES:
            # Somebody took the port between its choice and its use: not the trial's doing.
            self._port_tries += 1
            self._gang = Gang(gang.trial, self._group, self.reservation)
            return
        lost = record.status == "worker_lost"
        if lost and self._attempts[gang.trial.trial_id] <= self._limits.retries:
            self._queue.appendleft(gang.trial)
        yield self._end(record)

    def _ended(self, gang: Gang, status: Status, reason: str) -> TrialRecord:
        gang.kill()
        return ended(gang, status, reason, self.epochs)

    def _end(self, record: TrialRecord) -> TrialRecord:
        if self._gang is not None:
            self._gang.kill()
            self._gang = None
        self._port_tries = 0
        return record.model_copy(update={"wall_s": time.perf_counter() - self._started})
