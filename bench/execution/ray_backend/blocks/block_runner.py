"""Run one block on a Ray cluster by its holders, whose child processes take turns.

The block's devices are reserved once, by a placement group. A holder keeps those of each bundle
until the last trial has its record; the first one coordinates. If all trials of a block are lost,
they take turns again. If only some are, these are tried again after the others, from their start to
their end: they have no rounds, so that no ratio of turns uses them. If memory ends a holder that
has several arms, its trials start anew, one after another.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from enum import Enum
from typing import Any

import ray

from bench.execution.executor import BlockWait, EpochEnd, Limits, OnEvent, TrialStart
from bench.execution.gpus.gpu_fitness import GpuAllotment, GpuSnapshot
from bench.execution.oom_skip import skipped_record
from bench.execution.ray_backend.blocks.dataset_store import DatasetUnavailable
from bench.execution.ray_backend.blocks.live_arm import LiveArm
from bench.execution.ray_backend.blocks.placement import PlacementRequest
from bench.execution.ray_backend.workers.epoch_log import epoch_lines
from bench.execution.ray_backend.workers.holder import REPORT_S
from bench.execution.ray_backend.workers.holders import Holders
from bench.execution.ray_backend.workers.worker_failure import take_worker_logs
from bench.execution.ray_backend.workers.worker_location import WorkerLocation
from bench.execution.ray_backend.workers.worker_log import WorkerLog
from bench.execution.scheduling.resources import ResourceRequest
from bench.execution.turns.arm_run import ArmStart, BlockEvent
from bench.execution.turns.coordinator import TurnSettings
from bench.execution.turns.gang_arm import GRACE_S
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Block, Trial


class State(Enum):
    """What a block does now."""

    PLACING = "waits for its devices, or starts its next trials on them"
    RUNNING = "its holders start, or train"
    DISPLACED = "some of its devices are lost, and trials remain"
    DONE = "no trial remains"


class BlockRunner:
    """One running block; ``advance`` takes its next step once some of ``pending`` are ready.

    ``block`` has those trials of the block ``planned`` that remain. ``attempts`` counts the
    attempts at each trial, for all runners of a run.
    """

    def __init__(
        self,
        block: Block,
        planned: Block,
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
        """The block's GPUs that its holders found unfit."""
        self._planned, self._queue = planned, deque(block.trials)
        self._limits, self._on_event, self._data_of = limits, on_event, data_of
        self._attempts, self._allotment = attempts, allotment
        self._holders: Holders | None = None
        self._alive: dict[str, LiveArm] = {}
        self._reported: deque[BlockEvent] = deque()
        """What the first holder has reported and the run has not heard of."""
        self._answered_at = 0.0
        self._shortage: str | None = None
        """Why memory does not hold all arms, if it has ended a holder."""
        self._wait_reported = self._abandoned = self._has_lost_nodes = False

    @property
    def pending(self) -> list[Any]:
        """The references that Ray has not resolved yet."""
        if self._holders is not None:
            return self._holders.pending
        return [self.placement.ready] if self.state is State.PLACING else []

    @property
    def remaining(self) -> Block | None:
        """The trials that have not begun, or are to be tried again."""
        trials = tuple(self._queue)
        return self._planned.model_copy(update={"trials": trials}) if trials else None

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
        """Seconds until the holders have been silent for too long; infinite if there are none.

        The first holder itself ends trials that exceed a limit, and reports every few seconds.
        """
        if self._holders is None:
            return math.inf
        silence_s = self._limits.stall_timeout_s + 2 * REPORT_S
        return self._answered_at + silence_s - time.perf_counter()

    def runs_on(self, nodes: Collection[str]) -> bool:
        """Return whether all its devices are on ``nodes``."""
        return self.placement.runs_on(nodes)

    def advance(self, ready: Sequence[Any]) -> Iterator[TrialRecord]:
        """Take the next step once some of ``pending`` are ready; yield records of ended trials."""
        if self._holders is None:
            self.placement.granted = True
            yield from self._start_holders()
        else:
            self._answered_at = time.perf_counter()
            self._reported.extend(self._holders.collect(ready))
            yield from self._take_reported()
            yield from self._follow(self._holders)

    def expire(self) -> Iterator[TrialRecord]:
        """End the block's trials if the holders have been silent for too long."""
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
            for event in self._reported:
                if isinstance(event, TrialRecord):
                    self._alive.pop(event.trial.trial_id, None)
                    yield event
            for arm in self._alive.values():
                lines = epoch_lines(arm.locations[0].log) if arm.locations else ()
                yield arm.record(status, reason, lines)

    def handle_node_loss(self, nodes: Collection[str]) -> Iterator[TrialRecord]:
        """Continue with the trials of which ``nodes`` have all workers; end the others.

        While the first holder lives, it ends them itself.
        """
        self._has_lost_nodes = True
        holders = self._holders
        if holders is None or not self._alive:
            self._leave_holders()  # no trial has started
        elif self.placement.request.nodes[0] not in nodes:
            ready, _ = ray.wait(holders.pending, timeout=GRACE_S)
            self._reported.extend(holders.collect(ready))
            yield from self._take_reported()
            yield from self._end_all(TrialFailure("worker_lost", "its node was lost"))

    def close(self) -> None:
        """Release the devices, kill the processes that still train and delete their logs."""
        self._close_holders()
        self._alive.clear()
        self.placement.close()

    def _start_holders(self) -> Iterator[TrialRecord]:
        """Start the holders of all trials that are worth trying."""
        for trial in tuple(self._queue):
            if reason := self._limits.skip_reason(trial):
                self._queue.remove(trial)
                yield skipped_record(trial, reason)
        if not self._queue:
            self.state = State.DONE
            return
        settings = TurnSettings(
            mode=self._limits.turns,
            turn_s=self._limits.turn_s,
            seed=self._queue[0].trial_id,
            retried=self._is_part,
            shortage=self._shortage,
        )
        limits = Limits(self._limits.trial_timeout_s, self._limits.stall_timeout_s)
        placement, trials = self.placement, tuple(self._queue)
        self._answered_at = time.perf_counter()
        self._holders = Holders(
            trials, placement.group, placement.request, self._allotment, settings, limits
        )
        self.state = State.RUNNING

    @property
    def _is_part(self) -> bool:
        """Whether other trials of the block have trained, which are not tried again with these."""
        others = [trial for trial in self._planned.trials if trial not in self._queue]
        return any(self._attempts.get(trial.trial_id) for trial in others)

    def _take_reported(self) -> Iterator[TrialRecord]:
        while self._reported:
            yield from self._take(self._reported.popleft())

    def _take(self, event: BlockEvent) -> Iterator[TrialRecord]:
        """Pass on what the first holder has reported."""
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
        if locations := self._alive[trial.trial_id].locations:
            logs = tuple(location.log for location in locations)
            self._on_event(TrialStart(trial, locations[0].node, logs))

    def _enter(self, trial: Trial) -> None:
        """Count an attempt at a trial, which now runs."""
        self._queue.remove(trial)
        self._attempts[trial.trial_id] = self._attempts.get(trial.trial_id, 0) + 1
        locations = self._holders.locations(trial) if self._holders else ()
        self._alive[trial.trial_id] = LiveArm(trial, locations)

    def _follow(self, holders: Holders) -> Iterator[TrialRecord]:
        """Act on the state of the holders after an answer."""
        if holders.error is not None:
            yield from self._end_all(holders.error)
        elif holders.pending:
            return
        elif holders.unfit:
            self.unfit = holders.unfit
            self._leave_holders()
        elif holders.ended:
            self._leave_holders()
        else:
            yield from self._begin(holders)

    def _begin(self, holders: Holders) -> Iterator[TrialRecord]:
        """Give the holders their data; a trial without data ends, and the others start anew."""
        data = []
        for trial in holders.trials:
            try:
                data.append(self._data_of(trial))
            except DatasetUnavailable as error:
                self._queue.remove(trial)
                yield TrialRecord(trial=trial, status=error.status, error=str(error), wall_s=0.0)
        if len(data) == len(holders.trials):
            holders.begin(data)
        else:
            self._leave_holders()

    def _end_all(self, cause: TrialFailure | Exception) -> list[TrialRecord]:
        """Return the records of all trials that have started: their holders have ended, or must.

        If none has, the first one ends, which holders that ended so early would have started.
        """
        if self._holders is None:
            return []
        if not self._alive and self._queue:
            self._enter(self._queue[0])
        logs = self._close_holders()
        records = [arm.failed(cause, logs) for arm in self._alive.values()]
        shortages = [each.error for each in records if each.status == "out_of_memory"]
        if shortages and len(records) > 1:
            self._shortage = shortages[0]
            self._start_anew()
            records = []
        self._alive.clear()
        records = [self._retried(record) for record in records]
        self._leave_holders()
        return records

    def _start_anew(self) -> None:
        """Queue all trials that have started again, first; the attempts at them do not count."""
        self._queue.extendleft(arm.trial for arm in reversed(self._alive.values()))
        for trial_id in self._alive:
            self._attempts[trial_id] -= 1

    def _retried(self, record: TrialRecord) -> TrialRecord:
        """Queue the trial again if it was lost and attempts remain."""
        lost = record.status == "worker_lost"
        if lost and self._attempts[record.trial.trial_id] <= self._limits.retries:
            self._queue.append(record.trial)
        elif record.trial in self._queue:  # it ended before it started
            self._queue.remove(record.trial)
        return record

    def _leave_holders(self) -> None:
        """End the holders, and turn to the trials that remain."""
        self._close_holders()
        if not self._queue:
            self.state = State.DONE
        else:
            self.state = State.DISPLACED if self._has_lost_nodes else State.PLACING

    def _close_holders(self) -> dict[WorkerLocation, WorkerLog]:
        """Kill the holders; return and delete the logs that those which have not ended leave."""
        holders, self._holders = self._holders, None
        if holders is None:
            return {}
        holders.kill()
        return {} if holders.ended else take_worker_logs(holders.all_locations)
