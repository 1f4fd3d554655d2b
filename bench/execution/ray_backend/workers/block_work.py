"""What the holders of a block are told of its trials.

Usage:
    work = BlockWork(arms=(ArmWork(trial, threads=2, slots=(WorkerSlot(0, 0),)),), ...)
    work.arms[0].workers_of(holder=0)              # (0,)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.execution.executor import Limits
from bench.execution.scheduling.resources import ResourceRequest
from bench.execution.turns.coordinator import TurnSettings
from bench.records.trial_failure import TrialFailure
from bench.spec.plan import Trial

WorkerKey = tuple[str, int]
"""A trial's id, and the index of one of its workers."""


class WorkerSlot(NamedTuple):
    """The place of a worker."""

    holder: int
    """The number of its holder."""
    position: int
    """Its number among the trial's workers there."""


@dataclass(frozen=True)
class ArmWork:
    """A trial of a block, and how it runs."""

    trial: Trial
    threads: int
    """Of each worker."""
    slots: tuple[WorkerSlot, ...]
    """Of each worker."""

    def workers_of(self, holder: int) -> tuple[int, ...]:
        """Return the workers that a holder has."""
        return tuple(w for w, slot in enumerate(self.slots) if slot.holder == holder)


@dataclass(frozen=True)
class BlockWork:
    """The trials of a block, and how they run."""

    arms: tuple[ArmWork, ...]
    settings: TurnSettings
    limits: Limits


@dataclass(frozen=True)
class Peers:
    """How the workers of trials that have several reach each other."""

    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """HOST:PORT of each worker, by trial id."""
    unreachable: Mapping[str, TrialFailure] = field(default_factory=dict)
    """The trials whose workers cannot reach each other, by id, and why."""


def arm_work(trial: Trial, request: ResourceRequest) -> ArmWork:
    """Return how ``trial`` uses the bundles of ``request``, each of which a holder has."""
    variant = trial.variant
    slots = [
        WorkerSlot(request.bundle_of(variant, worker), request.slot_of(variant, worker))
        for worker in range(variant.workers)
    ]
    return ArmWork(trial, request.threads_of(variant), tuple(slots))
