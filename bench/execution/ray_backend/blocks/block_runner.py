"""Run one block on a Ray cluster: reserve its devices, then run its trials in order.

A runner reserves its devices once, by a placement group, and keeps them until its last trial has
ended, so that all variants of a comparison run on the same devices. Each trial runs in a group of
new worker processes.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from enum import Enum
from typing import Any

import ray

from bench.errors import ResourceError
from bench.execution.executor import BlockWait, EpochEnd, Limits, OnEvent, TrialStart
from bench.execution.gpus.gpu_fitness import GpuAllotment, GpuSnapshot
from bench.execution.oom_skip import skipped_record
from bench.execution.ray_backend.blocks.dataset_store import DatasetUnavailable
from bench.execution.ray_backend.blocks.placement import PlacementRequest
from bench.execution.ray_backend.workers.epoch_log import epoch_lines, with_lines
from bench.execution.ray_backend.workers.progress_actor import ProgressUpdate
from bench.execution.ray_backend.workers.worker import WorkerLocation
from bench.execution.ray_backend.workers.worker_failure import fetch_worker_logs
from bench.execution.ray_backend.workers.worker_group import GRACE_S, WorkerGroup
from bench.execution.ray_backend.workers.worker_records import (
    failure_record,
    merge_records,
    slowest_workers,
    terminated_record,
)
from bench.execution.scheduling.resources import ResourceRequest
from bench.records.epoch_record import EpochRecord
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Block, Trial

_NO_TURNS = "the arms took no turns: trials of several workers train one after another"


class State(Enum):
    """What a block does now: PLACING, then RUNNING and PLACING for each trial, at last DONE."""

    PLACING = "waits for its devices, or starts its next trial on them"
    RUNNING = "a worker group starts, or trains"
    DONE = "no trial remains"


class BlockRunner:
    """One running block; ``advance`` takes its next step once some of ``pending`` are ready.

    ``attempts`` counts the attempts at each trial, for all runners of a run.
    """

    def __init__(
        self,
        block: Block,
        request: ResourceRequest,
        limits: Limits,
        on_event: OnEvent,
        data_of: Callable[[Trial], Any],
        progress_actor: Any,
        attempts: dict[str, int],
        allotment: GpuAllotment,
    ) -> None:
        self.placement = PlacementRequest(request)
        self._repeat = block.repeat
        self._queue = deque(block.trials)
        self._has_arms = len(block.trials) > 1
        self._limits, self._on_event = limits, on_event
        self._data_of, self._progress_actor = data_of, progress_actor
        self._wait_reported = False
        self.state = State.PLACING
        """What the block does now; only ``_start_next`` and ``_leave_trial`` change it."""
        self._workers: WorkerGroup | None = None
        self._abandoned = False
        self._attempts, self._allotment = attempts, allotment
        self.unfit: list[tuple[WorkerLocation, GpuSnapshot]] = []
        """The block's GPUs that a trial found unfit when it started."""
        self._started = self._progress_at = 0.0
        self.epochs: list[EpochRecord] = []
        self._heartbeats: dict[int, int] = {}

    @property
    def group_key(self) -> str | None:
        """The key of the worker group that runs now."""
        return self._workers.key if self._workers else None

    @property
    def pending(self) -> list[Any]:
        """The references that Ray has not resolved yet."""
        if self._workers is not None:
            return self._workers.pending
        return [self.placement.ready] if self.state is State.PLACING else []

    @property
    def remaining(self) -> Block | None:
        """The trials that have not begun."""
        return Block(repeat=self._repeat, trials=tuple(self._queue)) if self._queue else None

    @property
    def is_blocked(self) -> bool:
        """Whether other work occupies its devices; asks Ray only once per interval."""
        limit_s = self._limits.placement_timeout_s
        return self.state is State.PLACING and self.placement.is_blocked(limit_s)

    @property
    def overdue(self) -> bool:
        """Whether it has waited for its devices longer than its limit."""
        return self.placement.is_overdue(self._limits.placement_timeout_s)

    @property
    def remaining_s(self) -> float:
        """Seconds until the running trial exceeds a limit; infinite if no trial runs."""
        if self.state is not State.RUNNING:
            return math.inf
        ends_at = min(
            self._started + self._limits.trial_timeout_s,
            self._progress_at + self._limits.stall_timeout_s,
        )
        return ends_at - time.perf_counter()

    def runs_on(self, nodes: Collection[str]) -> bool:
        """Return whether all its devices are on ``nodes``."""
        return self.placement.runs_on(nodes)

    def add_progress(self, update: ProgressUpdate) -> None:
        """Record the progress of one worker of the running trial, and the epoch that it reports."""
        self._progress_at = time.perf_counter()
        self._heartbeats[update.worker] = update.heartbeats
        if update.epoch_json:
            self._add_epoch(EpochRecord.model_validate_json(update.epoch_json))

    def advance(self, ready: Sequence[Any]) -> Iterator[TrialRecord]:
        """Take the next step once some of ``pending`` are ready; yield a record if a trial ends."""
        if self._workers is None:
            self.placement.granted = True
            if reason := self._limits.skip_reason(self._queue[0]):
                trial = self._queue.popleft()
                self._leave_trial()
                yield skipped_record(trial, reason)
            else:
                self._start_next()
        else:
            self._workers.collect(ready)
            yield from self._follow(self._workers)

    def _follow(self, workers: WorkerGroup) -> Iterator[TrialRecord]:
        """Act on what the workers have answered."""
        if workers.unfit:
            fetch_worker_logs(workers.locations)
            self._withdraw(workers)
        elif workers.has_failed:
            yield self._failed(workers)
        elif workers.is_finished:
            record = merge_records(workers)
            # The progress reports of the last epochs may arrive after the record.
            for epoch in record.epochs[len(self.epochs) :]:
                self._add_epoch(epoch)
            yield self._end(record)
        elif workers.is_located and not workers.pending:
            locations = workers.locations
            logs = tuple(locations[index].log for index in sorted(locations))
            self._on_event(TrialStart(workers.trial, locations[0].node, logs))
            try:
                workers.train(self._data_of(workers.trial), self._progress_actor)
            except DatasetUnavailable as error:
                yield self._end(self._terminated(workers, error.status, str(error)))
            except ResourceError as error:
                yield self._end(self._terminated(workers, "failed", str(error)))

    def expire(self) -> Iterator[TrialRecord]:
        """End the running trial if it has exceeded its time limit or makes no progress."""
        if self._workers is None:
            return
        now, limits = time.perf_counter(), self._limits
        if now - self._started > limits.trial_timeout_s:
            reason = f"exceeded its limit of {limits.trial_timeout_s:g} s: raise trial_timeout_s"
        elif now - self._progress_at > limits.stall_timeout_s:
            reason = (
                f"made no progress for {limits.stall_timeout_s:g} s"
                f"{self._behind(self._workers)}: raise stall_timeout_s if it is only slow"
            )
        else:
            return
        yield self._end(self._terminated(self._workers, "timed_out", reason))

    def wait(self, free: str) -> Iterator[TrialRecord]:
        """Report once that other work occupies its devices; give up the block at the time limit.

        ``free`` describes the devices that the other work leaves.
        """
        if self.overdue:
            reason = self.placement.timeout_reason(free, self._limits.placement_timeout_s)
            given_up = tuple(self._queue)
            self._queue.clear()
            self._leave_trial()
            for trial in given_up:
                yield TrialRecord(trial=trial, status="timed_out", error=reason, wall_s=0.0)
        elif not self._wait_reported:
            self._wait_reported = True
            self._on_event(BlockWait(self._queue[0], self.placement.wait_reason(free)))

    def abandon(self, status: Status, reason: str) -> Iterator[TrialRecord]:
        """Yield the running trial's record from what the driver knows, without a call to Ray.

        Only the first call yields: an interrupt may come while the records of a lost head are
        written.
        """
        if self._workers is not None and not self._abandoned:
            self._abandoned = True
            location, epochs = self._workers.locations.get(0), tuple(self.epochs)
            for other in self._workers.locations.values():
                epochs = with_lines(epochs, epoch_lines(other.log))
            yield TrialRecord(
                trial=self._workers.trial,
                status=status,
                error=reason,
                node=location.node if location else None,
                epochs=epochs,
                wall_s=time.perf_counter() - self._started,
            )

    def handle_node_loss(self) -> Iterator[TrialRecord]:
        """End the running trial because one of its nodes was lost; retry if attempts remain."""
        workers = self._workers
        if workers is None:
            return
        if not workers.is_located and not workers.has_failed:
            self._withdraw(workers)  # it never started
            return
        ready, _ = ray.wait(workers.pending, num_returns=len(workers.pending), timeout=GRACE_S)
        workers.collect(ready)
        if workers.has_failed:
            yield self._failed(workers)
        else:
            reason = "one of its nodes was lost"
            yield self._retried(self._terminated(workers, "worker_lost", reason))

    def close(self) -> None:
        """Release the devices, kill the workers that still train and delete their logs."""
        if self._workers is not None:
            self._workers.kill()
            fetch_worker_logs(self._workers.locations)
            self._leave_trial()
        self.placement.close()

    def _add_epoch(self, epoch: EpochRecord) -> None:
        if epoch.epoch == len(self.epochs) and self._workers:
            self.epochs.append(epoch)
            self._on_event(EpochEnd(self._workers.trial.trial_id, epoch))

    def _behind(self, workers: WorkerGroup) -> str:
        behind = slowest_workers(self._heartbeats, workers.trial.variant.workers)
        return f" (furthest behind: worker {' and '.join(map(str, behind))})" if behind else ""

    def _start_next(self) -> None:
        trial = self._queue.popleft()
        self._attempts[trial.trial_id] = self._attempts.get(trial.trial_id, 0) + 1
        self.epochs, self._heartbeats = [], {}
        self._started = self._progress_at = time.perf_counter()
        placement = self.placement
        self._workers = WorkerGroup(trial, placement.group, placement.request, self._allotment)
        self.state = State.RUNNING

    def _leave_trial(self) -> None:
        """Turn to the next trial, if one remains."""
        self._workers = None
        self.state = State.PLACING if self._queue else State.DONE

    def _withdraw(self, workers: WorkerGroup) -> None:
        """Put a trial that has not begun back into the queue, without a record."""
        workers.kill()
        self.unfit = [
            (workers.locations[i], gpu) for i, unfit in workers.unfit.items() for gpu in unfit.gpus
        ]
        self._attempts[workers.trial.trial_id] -= 1
        self._queue.appendleft(workers.trial)
        self._leave_trial()

    def _failed(self, workers: WorkerGroup) -> TrialRecord:
        workers.kill()
        return self._retried(failure_record(workers, self.epochs))

    def _retried(self, record: TrialRecord) -> TrialRecord:
        lost = record.status == "worker_lost"
        if lost and self._attempts[record.trial.trial_id] <= self._limits.retries:
            self._queue.appendleft(record.trial)
        return self._end(record)

    def _terminated(self, workers: WorkerGroup, status: Status, reason: str) -> TrialRecord:
        workers.kill()
        return terminated_record(workers, status, reason, self.epochs)

    def _end(self, record: TrialRecord) -> TrialRecord:
        if self._workers is not None:
            self._workers.kill()
        self._leave_trial()
        took_no_turns = self._has_arms and self._limits.turns != "trial"
        warnings = [_NO_TURNS] if took_no_turns else []
        return record.model_copy(
            update={
                "wall_s": time.perf_counter() - self._started,
                "resolved": {**record.resolved, "turns": "trial"},
                "warnings": (*record.warnings, *warnings),
            }
        )
