"""One block on its way through a Ray cluster: its devices, its trials, the one that runs.

A lane reserves its devices once, by a placement group, and keeps them until its last trial
has ended: all arms of a comparison run on the same ones. Each trial gets a gang of fresh
processes in it.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import ray

from bench.errors import ResourceError
from bench.execution.executor import EpochEnded, Limits, OnEvent, Started, Waiting
from bench.execution.gpus.device_fitness import GpuAllotment, GpuSnapshot
from bench.execution.oom_skip import skipped_record
from bench.execution.ray_backend.dataset_store import DatasetUnavailable
from bench.execution.ray_backend.epoch_log import epoch_lines, with_lines
from bench.execution.ray_backend.placement import PlacementRequest
from bench.execution.ray_backend.progress_actor import ProgressUpdate
from bench.execution.ray_backend.worker import WorkerLocation
from bench.execution.ray_backend.worker_failure import fetch_worker_logs
from bench.execution.ray_backend.worker_group import GRACE_S, WorkerGroup
from bench.execution.ray_backend.worker_records import (
    failure_record,
    merge_records,
    slowest_workers,
    terminated_record,
)
from bench.execution.scheduling.resources import ResourceRequest
from bench.records.epoch_record import EpochRecord
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Block, Trial

_PATIENCE_S = 20.0
"""How long devices may take to come; as far as this run knows, they were free."""


class BlockRunner:
    """A block in flight. ``pending`` is what must be ready before ``advance`` can do more.

    ``attempts`` counts, for all lanes of a run, how often each trial has begun.
    """

    def __init__(
        self,
        block: Block,
        reservation: ResourceRequest,
        limits: Limits,
        on_event: OnEvent,
        data_of: Callable[[Trial], Any],
        board: Any,
        attempts: dict[str, int],
        allotment: GpuAllotment,
    ) -> None:
        self.claim = PlacementRequest(reservation)
        self._repeat = block.repeat
        self._queue = deque(block.trials)
        self._limits, self._on_event = limits, on_event
        self._data_of, self._board = data_of, board
        self._told = False
        self._gang: WorkerGroup | None = None
        self._abandoned = False
        self._attempts, self._allotment = attempts, allotment
        self.unfit: list[tuple[WorkerLocation, GpuSnapshot]] = []
        """Of its GPUs those that are not to be used, as a trial that was to start on them found."""
        self._started = self._news_at = 0.0
        self.epochs: list[EpochRecord] = []
        self._beats: dict[int, int] = {}

    @property
    def done(self) -> bool:
        """Whether no trial is left."""
        return self._gang is None and not self._queue

    @property
    def gang(self) -> str | None:
        """The key of the gang that runs now."""
        return self._gang.key if self._gang else None

    @property
    def pending(self) -> list[Any]:
        """What Ray has still to answer."""
        if self._gang is not None:
            return self._gang.pending
        return [self.claim.ready] if self._queue else []

    @property
    def remaining(self) -> Block | None:
        """The trials that have not begun."""
        return Block(repeat=self._repeat, trials=tuple(self._queue)) if self._queue else None

    @property
    def poll_pending(self) -> bool:
        """Whether others hold its devices; True once in a while, as long as they do."""
        waits = self._gang is None and bool(self._queue)
        return waits and self.claim.stuck(min(_PATIENCE_S, self._limits.placement_timeout_s))

    @property
    def overdue(self) -> bool:
        """Whether it has waited for its devices as long as it may."""
        return not self.claim.granted and self.claim.waited_s > self._limits.placement_timeout_s

    @property
    def left_s(self) -> float:
        """Until the running trial is over a limit; infinite where none runs."""
        if self._gang is None:
            return math.inf
        ends_at = min(
            self._started + self._limits.trial_timeout_s,
            self._news_at + self._limits.stall_timeout_s,
        )
        return ends_at - time.perf_counter()

    def runs_on(self, nodes: Collection[str]) -> bool:
        """Whether all its devices are on these nodes."""
        return set(self.claim.reservation.nodes).issubset(nodes)

    def add_news(self, news: ProgressUpdate) -> None:
        """The running trial has come further, maybe by an epoch (told by each worker)."""
        self._news_at = time.perf_counter()
        self._beats[news.worker] = news.beats
        if news.epoch_json:
            self._add_epoch(EpochRecord.model_validate_json(news.epoch_json))

    def advance(self, ready: Sequence[Any]) -> Iterator[TrialRecord]:
        """Take the next step now that some of ``pending`` are ready; a record at a trial's end."""
        if self._gang is None:
            self.claim.granted = True
            if self._queue and (reason := self._limits.skip_reason(self._queue[0])):
                yield skipped_record(self._queue.popleft(), reason)
            else:
                self._start_next()
            return
        self._gang.collect(ready)
        if self._gang.unfit:
            fetch_worker_logs(self._gang.places)
            self._withdraw(self._gang)
        elif self._gang.has_failed:
            yield from self._trouble(self._gang)
        elif self._gang.is_finished:
            record = merge_records(self._gang)
            # The news of the last epochs may be slower than the record.
            for epoch in record.epochs[len(self.epochs) :]:
                self._add_epoch(epoch)
            yield self._end(record)
        elif self._gang.is_placed and not self._gang.pending:
            places = self._gang.places
            logs = tuple(places[index].log for index in sorted(places))
            self._on_event(Started(self._gang.trial, places[0].node, logs))
            try:
                self._gang.train(self._data_of(self._gang.trial), self._board)
            except DatasetUnavailable as error:
                yield self._end(self._ended(self._gang, error.status, str(error)))
            except ResourceError as error:
                yield self._end(self._ended(self._gang, "failed", str(error)))

    def expire(self) -> Iterator[TrialRecord]:
        """End the running trial where its time is over, or where it has stopped moving."""
        if self._gang is None:
            return
        now, limits = time.perf_counter(), self._limits
        if now - self._started > limits.trial_timeout_s:
            over = f"its time limit of {limits.trial_timeout_s:g} s: raise trial_timeout_s"
        elif now - self._news_at > limits.stall_timeout_s:
            over = (
                f"{limits.stall_timeout_s:g} s without progress{self._behind(self._gang)}: "
                "raise stall_timeout_s if slow"
            )
        else:
            return
        reason = f"ended after {over}"
        yield self._end(self._ended(self._gang, "timed_out", reason))

    def wait(self, free: str) -> Iterator[TrialRecord]:
        """Say once that others hold its devices; after its time, give the block up.

        ``free`` is what they leave.
        """
        asked, limit_s = self.claim.reservation, self._limits.placement_timeout_s
        if self.overdue:
            reason = (
                f"not run: in {limit_s:g} s Ray had no room for {asked}; free are {free}: "
                "end other work on the cluster, or raise placement_timeout_s"
            )
            while self._queue:
                trial = self._queue.popleft()
                yield TrialRecord(trial=trial, status="timed_out", error=reason, wall_s=0.0)
        elif not self._told:
            self._told = True
            reason = f"{asked} asked for, other work on the cluster leaves {free}"
            self._on_event(Waiting(self._queue[0], reason))

    def abandon(self, status: Status, reason: str) -> Iterator[TrialRecord]:
        """The running trial's record as far as it is known here, with nothing asked of Ray.

        Given once: an interrupt may come while a lost head's records are kept.
        """
        if self._gang is not None and not self._abandoned:
            self._abandoned = True
            place, epochs = self._gang.places.get(0), tuple(self.epochs)
            for other in self._gang.places.values():
                epochs = with_lines(epochs, epoch_lines(other.log))
            yield TrialRecord(
                trial=self._gang.trial,
                status=status,
                error=reason,
                node=place.node if place else None,
                epochs=epochs,
                wall_s=time.perf_counter() - self._started,
            )

    def handle_node_loss(self) -> Iterator[TrialRecord]:
        """End the running trial since a node of its is gone; to be tried again, if it may be."""
        gang = self._gang
        if gang is None:
            return
        if not gang.is_placed and not gang.has_failed:
            # It was never there.
            self._withdraw(gang)
            return
        ready, _ = ray.wait(gang.pending, num_returns=len(gang.pending), timeout=GRACE_S)
        gang.collect(ready)
        if gang.has_failed:
            gang.kill()
            yield self._retried(failure_record(gang, self.epochs))
        else:
            yield self._retried(self._ended(gang, "worker_lost", "a node of its was lost"))

    def close(self) -> None:
        """Give the devices back; what still trains is ended, and its logs go."""
        if self._gang is not None:
            self._gang.kill()
            fetch_worker_logs(self._gang.places)
            self._gang = None
        self.claim.close()

    def _add_epoch(self, epoch: EpochRecord) -> None:
        if epoch.epoch == len(self.epochs) and self._gang:
            self.epochs.append(epoch)
            self._on_event(EpochEnded(self._gang.trial.trial_id, epoch))

    def _behind(self, gang: WorkerGroup) -> str:
        behind = slowest_workers(self._beats, gang.trial.variant.workers)
        return f", worker {' and '.join(map(str, behind))} furthest behind" if behind else ""

    def _start_next(self) -> None:
        trial = self._queue.popleft()
        self._attempts[trial.trial_id] = self._attempts.get(trial.trial_id, 0) + 1
        self.epochs, self._beats = [], {}
        self._started = self._news_at = time.perf_counter()
        self._gang = WorkerGroup(trial, self.claim.group, self.claim.reservation, self._allotment)

    def _withdraw(self, gang: WorkerGroup) -> None:
        """Put back a trial that has not begun, without a record."""
        gang.kill()
        self.unfit = [
            (gang.places[i], gpu) for i, found in gang.unfit.items() for gpu in found.gpus
        ]
        self._gang = None
        self._attempts[gang.trial.trial_id] -= 1
        self._queue.appendleft(gang.trial)

    def _trouble(self, gang: WorkerGroup) -> Iterator[TrialRecord]:
        gang.kill()
        yield self._retried(failure_record(gang, self.epochs))

    def _retried(self, record: TrialRecord) -> TrialRecord:
        lost = record.status == "worker_lost"
        if lost and self._attempts[record.trial.trial_id] <= self._limits.retries:
            self._queue.appendleft(record.trial)
        return self._end(record)

    def _ended(self, gang: WorkerGroup, status: Status, reason: str) -> TrialRecord:
        gang.kill()
        return terminated_record(gang, status, reason, self.epochs)

    def _end(self, record: TrialRecord) -> TrialRecord:
        if self._gang is not None:
            self._gang.kill()
            self._gang = None
        return record.model_copy(update={"wall_s": time.perf_counter() - self._started})
