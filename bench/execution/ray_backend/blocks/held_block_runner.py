"""Run one block on a Ray cluster by a holder, whose child processes take turns.

The block's devices are reserved once, by a placement group, and the holder keeps them until the
last trial has its record. A trial that is lost is tried again after the others, from its start to
its end and alone: it has no rounds, so that no ratio of turns uses it.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import ray

from bench.execution.executor import BlockWait, EpochEnd, Limits, OnEvent, TrialStart
from bench.execution.gpus.gpu_fitness import GpuAllotment, GpuSnapshot
from bench.execution.oom_skip import skipped_record
from bench.execution.ray_backend.blocks.block_runner import State
from bench.execution.ray_backend.blocks.dataset_store import DatasetUnavailable
from bench.execution.ray_backend.blocks.placement import PlacementRequest
from bench.execution.ray_backend.workers.epoch_log import epoch_lines, with_lines
from bench.execution.ray_backend.workers.holder import REPORT_S
from bench.execution.ray_backend.workers.holder_client import HolderClient, HolderEvent
from bench.execution.ray_backend.workers.worker import WorkerLocation
from bench.execution.ray_backend.workers.worker_failure import (
    classify_failure,
    fetch_worker_logs,
)
from bench.execution.ray_backend.workers.worker_group import GRACE_S
from bench.execution.ray_backend.workers.worker_log import WorkerLog
from bench.execution.scheduling.resources import ResourceRequest
from bench.execution.turns.arm_run import ArmStart
from bench.execution.turns.coordinator import TurnSettings
from bench.records.epoch_record import EpochRecord
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Block, Trial


class _LiveArm:
    """A trial that has started and has no record yet."""

    def __init__(self, trial: Trial, location: WorkerLocation | None) -> None:
        self.trial, self.location = trial, location
        self.restart()

    def restart(self) -> None:
        """Count its time and its epochs anew."""
        self.started = time.perf_counter()
        self.epochs: list[EpochRecord] = []

    def record(
        self, status: Status, reason: str, log: WorkerLog | None, lines: Sequence[str]
    ) -> TrialRecord:
        """Return its record, with the epochs that it has reported and those in ``lines``."""
        return TrialRecord(
            trial=self.trial,
            status=status,
            error=reason,
            log_tail=log.log_tail if log else None,
            node=self.location.node if self.location else None,
            epochs=with_lines(self.epochs, lines),
            wall_s=time.perf_counter() - self.started,
        )


class HeldBlockRunner:
    """One running block; ``advance`` takes its next step once some of ``pending`` are ready.

    ``attempts`` counts the attempts at each trial, for all runners of a run. Each trial of the
    block has one worker.
    """

    def __init__(
        self,
        block: Block,
        request: ResourceRequest,
        limits: Limits,
        on_event: OnEvent,
        data_of: Callable[[Trial], Any],
        attempts: dict[str, int],
        allotment: GpuAllotment,
    ) -> None:
        self.placement = PlacementRequest(request)
        self.state = State.PLACING
        """What the block does now; PLACING again before trials are retried."""
        self.unfit: list[tuple[WorkerLocation, GpuSnapshot]] = []
        """The block's GPUs that its holder found unfit."""
        self._repeat, self._queue = block.repeat, deque(block.trials)
        self._limits, self._on_event, self._data_of = limits, on_event, data_of
        self._attempts, self._allotment = attempts, allotment
        self._holder: HolderClient | None = None
        self._alive: dict[str, _LiveArm] = {}
        self._answered_at = 0.0
        self._wait_reported = self._abandoned = False

    @property
    def pending(self) -> list[Any]:
        """The references that Ray has not resolved yet."""
        if self._holder is not None:
            return self._holder.pending
        return [self.placement.ready] if self.state is State.PLACING else []

    @property
    def remaining(self) -> Block | None:
        """The trials that have not begun, or are to be tried again."""
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
        """Seconds until the holder has been silent for too long; infinite if there is none.

        The holder itself ends trials that exceed a limit, and reports every few seconds.
        """
        if self._holder is None:
            return math.inf
        silence_s = self._limits.stall_timeout_s + 2 * REPORT_S
        return self._answered_at + silence_s - time.perf_counter()

    def runs_on(self, nodes: Collection[str]) -> bool:
        """Return whether all its devices are on ``nodes``."""
        return self.placement.runs_on(nodes)

    def advance(self, ready: Sequence[Any]) -> Iterator[TrialRecord]:
        """Take the next step once some of ``pending`` are ready; yield records of ended trials."""
        if self._holder is None:
            self.placement.granted = True
            yield from self._start_holder()
        else:
            self._answered_at = time.perf_counter()
            for event in self._holder.collect(ready):
                yield from self._take(event)
            yield from self._follow(self._holder)

    def expire(self) -> Iterator[TrialRecord]:
        """End the block's trials if the holder has been silent for too long."""
        if self.remaining_s <= 0:
            reason = (
                "the process that holds its devices did not answer for "
                f"{self._limits.stall_timeout_s:g} s: raise stall_timeout_s if it is only slow"
            )
            yield from self._end_all(TrialFailure("timed_out", reason))

    def wait(self, free: str) -> Iterator[TrialRecord]:
        """Report once that other work occupies its devices; give up the block at the time limit.

        ``free`` describes the devices that the other work leaves.
        """
        if self.overdue:
            reason = self.placement.timeout_reason(free, self._limits.placement_timeout_s)
            given_up = tuple(self._queue)
            self._queue.clear()
            self.state = State.DONE
            for trial in given_up:
                yield TrialRecord(trial=trial, status="timed_out", error=reason, wall_s=0.0)
        elif not self._wait_reported:
            self._wait_reported = True
            self._on_event(BlockWait(self._queue[0], self.placement.wait_reason(free)))

    def abandon(self, status: Status, reason: str) -> Iterator[TrialRecord]:
        """Yield the running trials' records from what the driver knows, without a call to Ray.

        Only the first call yields: an interrupt may come while the records of a lost head are
        written.
        """
        if not self._abandoned:
            self._abandoned = True
            for arm in self._alive.values():
                lines = epoch_lines(arm.location.log) if arm.location else ()
                yield arm.record(status, reason, None, lines)

    def handle_node_loss(self) -> Iterator[TrialRecord]:
        """End the running trials because the node was lost; retry if attempts remain."""
        if self._holder is None:
            return
        if self._holder.pending:
            ready, _ = ray.wait(self._holder.pending, timeout=GRACE_S)
            for event in self._holder.collect(ready):
                yield from self._take(event)
        yield from self._end_all(TrialFailure("worker_lost", "its node was lost"))

    def close(self) -> None:
        """Release the devices, kill the processes that still train and delete their logs."""
        self._close_holder()
        self._alive.clear()
        self.placement.close()

    def _start_holder(self) -> Iterator[TrialRecord]:
        """Start the holder of all trials that are worth trying."""
        for trial in tuple(self._queue):
            if reason := self._limits.skip_reason(trial):
                self._queue.remove(trial)
                yield skipped_record(trial, reason)
        if not self._queue:
            self.state = State.DONE
            return
        retried = any(self._attempts.get(trial.trial_id) for trial in self._queue)
        settings = TurnSettings(
            mode="trial" if retried else self._limits.turns,
            turn_s=self._limits.turn_s,
            seed=self._queue[0].trial_id,
        )
        limits = Limits(self._limits.trial_timeout_s, self._limits.stall_timeout_s)
        placement, trials = self.placement, tuple(self._queue)
        self._answered_at = time.perf_counter()
        self._holder = HolderClient(
            trials, placement.group, placement.request, self._allotment, settings, limits
        )
        self.state = State.RUNNING

    def _take(self, event: HolderEvent) -> Iterator[TrialRecord]:
        """Pass on what the holder has reported."""
        match event:
            case ArmStart(trial=trial):
                self._start(trial)
            case EpochEnd(trial_id=trial_id, epoch=epoch):
                self._alive[trial_id].epochs.append(epoch)
                self._on_event(event)
            case TrialRecord(trial=trial):
                self._alive.pop(trial.trial_id, None)
                yield self._retried(event)

    def _start(self, trial: Trial) -> None:
        """Note that a trial has started, or starts again because memory does not hold all arms."""
        if trial.trial_id in self._alive:
            self._alive[trial.trial_id].restart()
        else:
            self._enter(trial)
        if location := self._alive[trial.trial_id].location:
            self._on_event(TrialStart(trial, location.node, (location.log,)))

    def _enter(self, trial: Trial) -> None:
        """Count an attempt at a trial, which now runs."""
        self._queue.remove(trial)
        self._attempts[trial.trial_id] = self._attempts.get(trial.trial_id, 0) + 1
        location = self._holder.location(trial) if self._holder else None
        self._alive[trial.trial_id] = _LiveArm(trial, location)

    def _follow(self, holder: HolderClient) -> Iterator[TrialRecord]:
        """Act on the holder's state after an answer."""
        if holder.error is not None:
            yield from self._end_all(holder.error)
        elif holder.unfit and holder.place:
            self.unfit = [(holder.place.location, gpu) for gpu in holder.unfit.gpus]
            self._leave_holder()
        elif holder.ended:
            self._leave_holder()
        elif not holder.pending:
            yield from self._begin(holder)

    def _begin(self, holder: HolderClient) -> Iterator[TrialRecord]:
        """Give the holder its data; a trial without data ends, and the others start anew."""
        data = []
        for trial in holder.trials:
            try:
                data.append(self._data_of(trial))
            except DatasetUnavailable as error:
                self._queue.remove(trial)
                yield TrialRecord(trial=trial, status=error.status, error=str(error), wall_s=0.0)
        if len(data) == len(holder.trials):
            holder.begin(data)
        else:
            self._leave_holder()

    def _end_all(self, cause: TrialFailure | Exception) -> list[TrialRecord]:
        """Return the records of all trials that have started: their holder has ended, or must.

        If none has, the first one ends, which a holder that ended so early would have started.
        """
        holder = self._holder
        if holder is None:
            return []
        holder.kill()
        if not self._alive and self._queue:
            self._enter(self._queue[0])
        arms = tuple(self._alive.values())
        places = {i: arm.location for i, arm in enumerate(arms) if arm.location is not None}
        logs, records = fetch_worker_logs(places), []
        for i, arm in enumerate(arms):
            log, failure = logs.get(i), cause
            if not isinstance(failure, TrialFailure):
                failure = classify_failure(failure, arm.location, log, refusable=False)
            lines = log.epochs if log else ()
            record = arm.record(failure.status, failure.reason, log, lines)
            records.append(self._retried(record))
        self._alive.clear()
        self._leave_holder()
        return records

    def _retried(self, record: TrialRecord) -> TrialRecord:
        """Queue the trial again if it was lost and attempts remain."""
        lost = record.status == "worker_lost"
        if lost and self._attempts[record.trial.trial_id] <= self._limits.retries:
            self._queue.append(record.trial)
        elif record.trial in self._queue:  # it ended before it started
            self._queue.remove(record.trial)
        return record

    def _leave_holder(self) -> None:
        """End the holder, and turn to the trials that remain."""
        self._close_holder()
        self.state = State.PLACING if self._queue else State.DONE

    def _close_holder(self) -> None:
        """Kill the holder, and delete the logs that one which has not ended leaves."""
        if self._holder is not None:
            holder, self._holder = self._holder, None
            holder.kill()
            if holder.place is not None and not holder.ended:
                places = [holder.location(trial) for trial in holder.trials]
                known = [holder.place.location, *filter(None, places)]
                fetch_worker_logs(dict(enumerate(known)))
