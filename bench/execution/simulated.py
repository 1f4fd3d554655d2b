"""Trials that are not run: records made up from a model of their time, under a virtual clock.

Usage:
    with SimulatedExecutor(devices=8) as executor: ...
    executor.makespan_s

For tests of what stands around a trial, and for planning: blocks are scheduled as on a
cluster of so many devices. The records say that they are simulated, in ``node`` and
``resolved``, and hold no accuracy.
"""

import heapq
import random
from collections.abc import Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from bench.errors import ResourceError
from bench.execution.estimate import START_S, estimated_epoch_s
from bench.execution.executor import EpochEnded, Limits, OnEvent, Started
from bench.execution.prune import not_run
from bench.execution.scheduler import Scheduler, job_of
from bench.records.record import EpochRecord, Measures, Status, TrialRecord
from bench.spec.plan import Block, Trial

Fate = Callable[[Trial, int], Status]
"""The status that an attempt (counted from 1) at a trial is to have."""


_NODE = "simulated"


class SimulatedExecutor:
    """An executor whose trials take no time; ``fate`` decides what becomes of each.

    A block takes as many of the ``devices`` as its largest trial has replicas; None stands
    for just so many that every block fits.
    """

    name = "simulated"

    def __init__(
        self,
        devices: int | None = None,
        epoch_s: Callable[[Trial], float] | None = None,
        fate: Fate = lambda _trial, _attempt: "completed",
    ) -> None:
        self.lanes = devices or 1
        self._devices = devices
        self.makespan_s = 0.0
        self._epoch_s = epoch_s or _guessed_epoch_s
        self._fate = fate

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing was taken, nothing is given back."""

    def environment(self) -> dict[str, Any]:
        """No node, nothing to say."""
        return {}

    def run(
        self, blocks: Sequence[Block], limits: Limits, on_event: OnEvent
    ) -> Generator[TrialRecord, None, None]:
        """Each block as soon as the scheduler has devices for it, in virtual time."""
        shares = [_share_of(block) for block in blocks]
        scheduler = Scheduler(self._devices or max(shares, default=1))
        for number, (block, share) in enumerate(zip(blocks, shares, strict=True)):
            if share > scheduler.capacity:
                raise ResourceError(
                    f"a trial asks for {share} devices, there are {scheduler.capacity}: "
                    "lower replicas or workers"
                )
            scheduler.add(job_of(number, block, share, scheduler.capacity))
        free = [f"simulated-{number}" for number in reversed(range(scheduler.capacity))]
        running: list[tuple[float, int, list[str]]] = []
        now = 0.0
        while scheduler.waiting or running:
            for job in scheduler.start(now):
                devices = [free.pop() for _ in range(job.devices)]
                ends_at = now
                for trial in blocks[job.key].trials:
                    for record in self._attempts(trial, limits, on_event):
                        ends_at += record.wall_s or 0.0
                        used = tuple(devices[: trial.variant.total_replicas])
                        yield record.model_copy(update={"devices": used})
                heapq.heappush(running, (ends_at, job.key, devices))
            now, number, devices = heapq.heappop(running)
            free += devices
            scheduler.finish(number)
        self.makespan_s = now

    def _attempts(self, trial: Trial, limits: Limits, on_event: OnEvent) -> Iterator[TrialRecord]:
        if reason := limits.needless(trial):
            yield not_run(trial, reason)
            return
        for attempt in range(1, limits.retries + 2):
            record = self._record(trial, self._fate(trial, attempt), limits)
            try:
                on_event(Started(trial, _NODE))
                for epoch in record.epochs:
                    on_event(EpochEnded(trial.trial_id, epoch))
            except KeyboardInterrupt:
                yield record.model_copy(update={"status": "interrupted", "error": "interrupted"})
                raise
            yield record
            if record.status != "worker_lost":
                return

    def _record(self, trial: Trial, status: Status, limits: Limits) -> TrialRecord:
        epoch_s = self._epoch_s(trial)
        trained = trial.variant.epochs if status == "completed" else 0
        limit_s = limits.trial_timeout_s
        if START_S + trained * epoch_s > limit_s:
            status, trained = "timed_out", min(trained, int(max(0.0, limit_s - START_S) / epoch_s))
        return TrialRecord(
            trial=trial,
            status=status,
            error=None if status == "completed" else "simulated",
            node=_NODE,
            resolved={"simulated": True},
            measures=Measures(cold_start_s=START_S / 3, import_s=START_S / 3),
            epochs=tuple(_epoch(trial, number, epoch_s) for number in range(trained)),
            wall_s=limit_s if status == "timed_out" else START_S + trained * epoch_s,
        )


def _share_of(block: Block) -> int:
    return max(trial.variant.total_replicas for trial in block.trials)


def _epoch(trial: Trial, number: int, epoch_s: float) -> EpochRecord:
    variant = trial.variant
    steps = variant.examples // variant.global_batch_size
    return EpochRecord(
        epoch=number,
        warmup=number < variant.warmup_epochs,
        epoch_s=epoch_s,
        examples=steps * variant.global_batch_size,
        steps=steps,
        train_loss=1.0 / (number + 1),
        train_accuracy=0.0,
    )


def _guessed_epoch_s(trial: Trial) -> float:
    noise = random.Random(trial.trial_id).gauss(0.0, 0.01)
    return estimated_epoch_s(trial.variant) * (1.0 + noise)
