"""Start a block's holders, give them the trials, and take what the first of them reports.

Usage:
    holders = Holders(arms, placement_group, request, allotment, settings, limits)
    holders.pending                     # references to wait for
    for event in holders.collect(ready): ...
    if holders.located: holders.begin(data)
    holders.unfit / holders.error / holders.ended
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from bench.execution.executor import Limits
from bench.execution.gpus.gpu_fitness import GpuAllotment, GpuSnapshot, UnfitGpus
from bench.execution.ray_backend.workers.block_work import BlockWork, arm_work
from bench.execution.ray_backend.workers.holder import Holder, HolderReport
from bench.execution.ray_backend.workers.holder_place import HolderPlace, peers_of
from bench.execution.ray_backend.workers.remote_workers import RemoteHolder
from bench.execution.ray_backend.workers.worker_location import WorkerLocation
from bench.execution.scheduling.resources import ResourceRequest
from bench.execution.turns.arm_run import BlockEvent
from bench.execution.turns.coordinator import TurnSettings
from bench.spec.plan import Trial


class Holders:
    """The holders of ``trials``, one in each bundle of a placement group that a trial uses."""

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
        self.unfit: list[tuple[WorkerLocation, GpuSnapshot]] = []
        """The GPUs because of which the block did not begin."""
        self.error: Exception | None = None
        """What Ray raised instead of an answer."""
        self.ended = False
        """Whether every trial has its record."""
        arms = tuple(arm_work(trial, request) for trial in self.trials)
        self._work = BlockWork(arms, settings, limits)
        self._data: list[list[Any]] = []
        self._begun = False
        self._places: dict[int, HolderPlace] = {}
        bundle = request.bundles[0]
        allotted = dataclasses.replace(allotment, gpus=int(bundle.get("GPU", 0)))
        actor_class: Any = ray.remote(Holder)
        count = 1 + max(slot.holder for arm in arms for slot in arm.slots)
        self._actors = [
            actor_class.options(
                scheduling_strategy=PlacementGroupSchedulingStrategy(placement_group, number),
                max_restarts=0,
                num_cpus=bundle["CPU"],
                num_gpus=bundle.get("GPU", 0),
            ).remote(allotted, number)
            for number in range(count)
        ]
        self._pending: dict[Any, int] = {}
        """The number of the holder that has not answered yet, by reference."""
        self._ask_all("locate", arms)

    @property
    def pending(self) -> list[Any]:
        """The references to answers that have not come yet."""
        return list(self._pending)

    @property
    def located(self) -> bool:
        """Whether all have said where they run."""
        return len(self._places) == len(self._actors)

    def begin(self, data: Sequence[Any]) -> None:
        """Let the holders train; ``data`` has a reference for each trial."""
        # Ray replaces a reference that is an argument by its object, and leaves one in a list.
        self._data = [[each] for each in data]
        self._ask_all("acquire")

    def collect(self, ready: Sequence[Any]) -> Iterator[BlockEvent]:
        """Take the holders' answers among ``ready``, and yield the events in them."""
        for reference in [each for each in ready if each in self._pending]:
            number = self._pending.pop(reference)
            try:
                answer = ray.get(reference)
            except Exception as error:
                self.error = self.error or error
                continue
            match answer:
                case HolderPlace():
                    self._places[number] = answer
                case UnfitGpus(gpus=gpus):
                    self.unfit += [(self._places[number].location, gpu) for gpu in gpus]
                case HolderReport(events=events, ended=ended):
                    self.ended = ended
                    yield from events
            if not self._pending:
                self._go_on()

    def locations(self, trial: Trial) -> list[WorkerLocation]:
        """Return where the workers of a trial run, with their logs, as far as that is known."""
        (slots,) = (arm.slots for arm in self._work.arms if arm.trial == trial)
        return [
            self._places[slot.holder].location_of(trial.trial_id, worker)
            for worker, slot in enumerate(slots)
            if slot.holder in self._places
        ]

    @property
    def all_locations(self) -> list[WorkerLocation]:
        """Where the holders and the workers run, each with its log."""
        own = [place.location for place in self._places.values()]
        return own + [each for trial in self.trials for each in self.locations(trial)]

    def kill(self) -> None:
        """Kill the holders; the kernel kills their processes."""
        for actor in self._actors:
            ray.kill(actor, no_restart=True)
        self._pending.clear()

    def _ask_all(self, method: str, *arguments: object) -> None:
        for number in range(len(self._actors)):
            self._ask(number, method, *arguments)

    def _ask(self, number: int, method: str, *arguments: object) -> None:
        reference = getattr(self._actors[number], method).remote(*arguments)
        self._pending[reference] = number

    def _go_on(self) -> None:
        """Let the first holder begin once all have fit GPUs, and then report."""
        if not self._data or self.unfit or self.error or self.ended:
            return
        if self._begun:
            self._ask(0, "report")
            return
        self._begun = True
        places = [self._places[number] for number in range(len(self._actors))]
        peers = peers_of(self._work.arms, places)
        pairs = list(zip(self._actors, places, strict=True))
        others = [RemoteHolder(actor, place) for actor, place in pairs[1:]]
        self._ask(0, "begin", self._work, self._data, peers, others)
