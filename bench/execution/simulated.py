"""Trials that are not run: records made up from a model of their time, under a virtual clock.

Usage:
    with SimulatedExecutor(lanes=8) as executor: ...
    executor.makespan_s

For tests of what stands around a trial, and for planning. The records say that they are
simulated, in ``node`` and ``resolved``, and hold no accuracy.
"""

import heapq
import random
from collections.abc import Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from bench.execution.estimate import START_S, estimated_epoch_s
from bench.execution.executor import EpochEnded, Limits, OnEvent, Started
from bench.records.record import EpochRecord, Measures, Status, TrialRecord
from bench.spec.plan import Block, Trial

Fate = Callable[[Trial, int], Status]
"""The status that an attempt (counted from 1) at a trial is to have."""


class SimulatedExecutor:
    """An executor whose trials take no time; ``fate`` decides what becomes of each."""

    name = "simulated"

    def __init__(
        self,
        lanes: int = 1,
        epoch_s: Callable[[Trial], float] | None = None,
        fate: Fate = lambda _trial, _attempt: "completed",
    ) -> None:
        self.lanes = lanes
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
        """Each block on the lane that is free first, in virtual time."""
        free_at = [(0.0, lane) for lane in range(self.lanes)]
        heapq.heapify(free_at)
        for block in blocks:
            now, lane = heapq.heappop(free_at)
            for trial in block.trials:
                for record in self._attempts(trial, limits, on_event, f"simulated-{lane}"):
                    now += record.wall_s or 0.0
                    yield record
            self.makespan_s = max(self.makespan_s, now)
            heapq.heappush(free_at, (now, lane))

    def _attempts(
        self, trial: Trial, limits: Limits, on_event: OnEvent, node: str
    ) -> Iterator[TrialRecord]:
        for attempt in range(1, limits.retries + 2):
            record = self._record(trial, self._fate(trial, attempt), node, limits)
            try:
                on_event(Started(trial, node))
                for epoch in record.epochs:
                    on_event(EpochEnded(trial.trial_id, epoch))
            except KeyboardInterrupt:
                yield record.model_copy(update={"status": "interrupted", "error": "interrupted"})
                raise
            yield record
            if record.status != "worker_lost":
                return

    def _record(self, trial: Trial, status: Status, node: str, limits: Limits) -> TrialRecord:
        epoch_s = self._epoch_s(trial)
        trained = trial.variant.epochs if status == "completed" else 0
        limit_s = limits.trial_timeout_s
        if START_S + trained * epoch_s > limit_s:
            status, trained = "timed_out", min(trained, int(max(0.0, limit_s - START_S) / epoch_s))
        return TrialRecord(
            trial=trial,
            status=status,
            error=None if status == "completed" else "simulated",
            node=node,
            devices=("simulated",),
            resolved={"simulated": True},
            measures=Measures(cold_start_s=START_S / 3, import_s=START_S / 3),
            epochs=tuple(_epoch(trial, number, epoch_s) for number in range(trained)),
            wall_s=limit_s if status == "timed_out" else START_S + trained * epoch_s,
        )


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
