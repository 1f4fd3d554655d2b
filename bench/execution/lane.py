"""One block on its way through a Ray cluster: its devices, its trials, the one that runs.

A lane reserves its devices once, by a placement group, and keeps them until its last trial
has ended: all arms of a comparison run on the same ones. Each trial gets a fresh actor
process in it.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from bench.execution.executor import EpochEnded, Limits, OnEvent, Started
from bench.execution.fate import record_of_the_dead, record_of_the_ended
from bench.execution.worker import Place, Worker
from bench.records.record import EpochRecord, Status, TrialRecord
from bench.spec.plan import Block, Trial

Bundle = dict[str, float]


class Lane:
    """A block in flight. ``waits_for`` is what must be ready before ``advance`` can do more."""

    def __init__(
        self,
        block: Block,
        bundle: Bundle,
        limits: Limits,
        on_event: OnEvent,
        data_of: Callable[[Trial], Any],
        board: Any,
    ) -> None:
        self.slot: Any = None
        self._queue = deque(block.trials)
        self._bundle, self._limits, self._on_event = bundle, limits, on_event
        self._data_of, self._board = data_of, board
        self._group: PlacementGroup = placement_group([bundle], strategy="STRICT_PACK")
        self._attempts: dict[str, int] = {}
        self._actor: Any = None
        self._trial: Trial | None = None
        self._place: Place | None = None
        self._started = 0.0
        self.epochs: list[EpochRecord] = []
        self.waits_for: Any = self._group.ready()

    @property
    def done(self) -> bool:
        """Whether no trial is left."""
        return self._trial is None and not self._queue

    @property
    def trial_id(self) -> str | None:
        """The trial that runs now."""
        return self._trial.trial_id if self._trial else None

    def add_epoch(self, epoch: EpochRecord) -> None:
        """News of the running trial."""
        self.epochs.append(epoch)
        if self._trial:
            self._on_event(EpochEnded(self._trial.trial_id, epoch))

    def advance(self) -> Iterator[TrialRecord]:
        """Take the next step now that ``waits_for`` is ready; a record where a trial ended."""
        if self._trial is None:
            self._start_next()
            return
        try:
            result = ray.get(self.waits_for)
        except Exception as error:
            yield self._lost(error)
            return
        if self._place is None:
            self._place = result
            self._begin_training()
            return
        record = TrialRecord.model_validate_json(result)
        # The news of the last epochs may be slower than the record.
        for epoch in record.epochs[len(self.epochs) :]:
            self.add_epoch(epoch)
        yield self._end(record.model_copy(update={"wall_s": self._elapsed_s()}))

    def expire(self) -> Iterator[TrialRecord]:
        """End the running trial where its time is over."""
        limit = self._limits.trial_timeout_s
        if self._trial is not None and self._elapsed_s() > limit:
            self._kill()
            reason = f"ended after its time limit of {limit:g} s: raise trial_timeout_s"
            yield self._end(self._ended("timed_out", reason))

    def interrupt(self) -> Iterator[TrialRecord]:
        """End the running trial since the run is being ended."""
        if self._trial is not None:
            self._kill()
            record = self._ended("interrupted", "the run was interrupted")
            self._trial = None
            yield record

    def close(self) -> None:
        """Give the devices back."""
        self._kill()
        remove_placement_group(self._group)

    def _start_next(self) -> None:
        self._trial = self._queue.popleft()
        self._attempts[self._trial.trial_id] = self._attempts.get(self._trial.trial_id, 0) + 1
        self._place, self.epochs, self._started = None, [], time.perf_counter()
        strategy = PlacementGroupSchedulingStrategy(self._group, 0)
        needs = {"num_cpus": self._bundle["CPU"], "num_gpus": self._bundle.get("GPU", 0)}
        actor_class: Any = ray.remote(Worker)
        self._actor = actor_class.options(
            scheduling_strategy=strategy, max_restarts=0, **needs
        ).remote()
        self.waits_for = self._actor.place.remote()

    def _begin_training(self) -> None:
        assert self._trial is not None
        assert self._place is not None
        self._on_event(Started(self._trial, self._place.node))
        self.waits_for = self._actor.train.remote(
            self._trial.model_dump_json(),
            [self._data_of(self._trial)],
            int(self._bundle["CPU"]),
            self._board,
        )

    def _lost(self, error: Exception) -> TrialRecord:
        assert self._trial is not None
        self._kill()
        dead = record_of_the_dead(self._trial, error, self._place, self.epochs)
        if (
            dead.status == "worker_lost"
            and self._attempts[self._trial.trial_id] <= self._limits.retries
        ):
            self._queue.appendleft(self._trial)
        return self._end(dead.model_copy(update={"wall_s": self._elapsed_s()}))

    def _ended(self, status: Status, reason: str) -> TrialRecord:
        assert self._trial is not None
        ended = record_of_the_ended(self._trial, status, reason, self._place, self.epochs)
        return ended.model_copy(update={"wall_s": self._elapsed_s()})

    def _end(self, record: TrialRecord) -> TrialRecord:
        self._kill()
        self._trial = None
        if self._queue:
            # The group is ready; this only asks for one more turn.
            self.waits_for = self._group.ready()
        return record

    def _kill(self) -> None:
        if self._actor is not None:
            ray.kill(self._actor, no_restart=True)
            self._actor = None

    def _elapsed_s(self) -> float:
        return time.perf_counter() - self._started
