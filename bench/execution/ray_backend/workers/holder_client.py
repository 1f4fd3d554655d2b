"""Start a block's holder, give it the trials, and take what it reports.

Usage:
    holder = HolderClient(trials, placement_group, request, allotment, settings, limits)
    holder.pending                      # references to wait for
    for event in holder.collect(ready): ...
    holder.place / holder.unfit / holder.error / holder.ended
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from bench.execution.executor import EpochEnd, Limits
from bench.execution.gpus.gpu_fitness import GpuAllotment, UnfitGpus
from bench.execution.ray_backend.workers.holder import (
    BlockWork,
    Holder,
    HolderPlace,
    HolderReport,
    location_of,
)
from bench.execution.ray_backend.workers.worker import WorkerLocation
from bench.execution.scheduling.resources import ResourceRequest
from bench.execution.turns.arm_run import ArmStart
from bench.execution.turns.coordinator import TurnSettings
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial

HolderEvent = ArmStart | EpochEnd | TrialRecord


class HolderClient:
    """The driver's side of a holder, in the only bundle of a placement group."""

    def __init__(
        self,
        trials: Sequence[Trial],
        placement_group: PlacementGroup,
        request: ResourceRequest,
        allotment: GpuAllotment,
        settings: TurnSettings,
        limits: Limits,
    ) -> None:
        self.trials = tuple(trials)
        self.place: HolderPlace | None = None
        """Where it runs; None until it has said so."""
        self.unfit: UnfitGpus | None = None
        """Set if it did not begin because a GPU is unfit."""
        self.error: Exception | None = None
        """What Ray raised instead of an answer."""
        self.ended = False
        """Whether every trial has its record."""
        threads = tuple(request.threads_of(trial.variant) for trial in self.trials)
        self._work = BlockWork(self.trials, threads, settings, limits)
        bundle = request.bundles[0]
        allotted = dataclasses.replace(allotment, gpus=int(bundle.get("GPU", 0)))
        actor_class: Any = ray.remote(Holder)
        self._actor = actor_class.options(
            scheduling_strategy=PlacementGroupSchedulingStrategy(placement_group, 0),
            max_restarts=0,
            num_cpus=bundle["CPU"],
            num_gpus=bundle.get("GPU", 0),
        ).remote(allotted)
        self._reference: Any = self._actor.locate.remote(len(self.trials))

    @property
    def pending(self) -> list[Any]:
        """The reference that the holder has not answered yet."""
        return [] if self._reference is None else [self._reference]

    def begin(self, data: Sequence[Any]) -> None:
        """Let the holder train; ``data`` has a reference for each trial."""
        self._reference = self._actor.begin.remote(self._work, [[each] for each in data])

    def collect(self, ready: Sequence[Any]) -> Iterator[HolderEvent]:
        """Take the holder's answer if it is among ``ready``, and yield the events in it."""
        if self._reference not in ready:
            return
        reference, self._reference = self._reference, None
        try:
            answer = ray.get(reference)
        except Exception as error:
            self.error = error
            return
        match answer:
            case HolderPlace():
                self.place = answer
            case UnfitGpus():
                self.unfit = answer
            case HolderReport(events=events, ended=ended):
                self.ended = ended
                yield from events
        if answer is None or (isinstance(answer, HolderReport) and not self.ended):
            self._reference = self._actor.report.remote()

    def location(self, trial: Trial) -> WorkerLocation | None:
        """Return where the holder runs, with the trial's log; None if that is not known."""
        return location_of(self.place, self.trials.index(trial)) if self.place else None

    def kill(self) -> None:
        """Kill the holder; the kernel kills its processes."""
        ray.kill(self._actor, no_restart=True)
        self._reference = None
