"""Start and end the worker processes of one trial together.

Usage:
    workers = WorkerGroup(trial, placement_group, request, allotment)
    workers.pending                     # references to wait for
    workers.collect(ready)              # take in the answers that are ready
    workers.has_failed / workers.is_located / workers.records
"""

import dataclasses
import json
import uuid
from collections.abc import Sequence
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from bench.execution.gpus.gpu_fitness import GpuAllotment, UnfitGpus
from bench.execution.ray_backend.cluster.peer_network import LOOPBACK, no_network
from bench.execution.ray_backend.workers.worker import Worker, WorkerLocation
from bench.execution.scheduling.resources import ResourceRequest
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial

GRACE_S = 3.0
"""Seconds in which the other workers can report what happened after one worker has failed."""


class WorkerGroup:
    """All workers of a trial, one in each bundle of a placement group."""

    def __init__(
        self,
        trial: Trial,
        placement_group: PlacementGroup,
        request: ResourceRequest,
        allotment: GpuAllotment,
    ) -> None:
        self.trial = trial
        self.key = uuid.uuid4().hex
        """Identifies this attempt, so that progress of an earlier attempt is ignored."""
        self.locations: dict[int, WorkerLocation] = {}
        self.records: dict[int, TrialRecord] = {}
        self.errors: dict[int, Exception] = {}
        """What Ray raised instead of a worker's answer, in the order of arrival."""
        self.unfit: dict[int, UnfitGpus] = {}
        """The workers that did not start because a GPU is unfit."""
        actor_class: Any = ray.remote(Worker)
        needs = request.needs(trial.variant)
        self._threads = request.threads_of(trial.variant)
        self._slots = [
            request.slot_of(trial.variant, index) for index in range(trial.variant.workers)
        ]
        allotted = dataclasses.replace(allotment, gpus=int(needs.get("GPU", 0)))
        self._actors = [
            actor_class.options(
                scheduling_strategy=PlacementGroupSchedulingStrategy(
                    placement_group, request.bundle_of(trial.variant, index)
                ),
                max_restarts=0,
                num_cpus=needs["CPU"],
                num_gpus=needs.get("GPU", 0),
            ).remote(allotted)
            for index in range(trial.variant.workers)
        ]
        has_peers = len(self._actors) > 1
        self._pending = {actor.locate.remote(has_peers): i for i, actor in enumerate(self._actors)}

    @property
    def pending(self) -> list[Any]:
        """The references that the workers have not answered yet."""
        return list(self._pending)

    @property
    def is_located(self) -> bool:
        """Whether every worker has reported its location."""
        return len(self.locations) == len(self._actors)

    @property
    def is_finished(self) -> bool:
        """Whether every worker has returned its record."""
        return len(self.records) == len(self._actors)

    @property
    def has_failed(self) -> bool:
        """Whether a worker died or did not complete, so that the others may hang."""
        return bool(self.errors) or any(r.status != "completed" for r in self.records.values())

    def train(self, data: Any, progress_actor: Any) -> None:
        """Start training on every worker, and pass each the addresses of all.

        Raises ResourceError if they run on several machines and the user has named no network for
        them.
        """
        trial_json = self.trial.model_dump_json()
        peers = peer_addresses([self.locations[index] for index in range(len(self._actors))])
        for index, actor in enumerate(self._actors):
            tf_config = _tf_config(peers, index) if len(peers) > 1 else None
            reference = actor.train.remote(
                *(trial_json, [data], self._threads, progress_actor, self.key, tf_config),
                slot=self._slots[index],
            )
            self._pending[reference] = index

    def collect(self, ready: Sequence[Any]) -> None:
        """Take in this group's answers among ``ready``; after a failure, wait for late ones."""
        for reference in [r for r in ready if r in self._pending]:
            self._store(reference)
        if (self.has_failed or self.unfit) and self._pending:
            late, _ = ray.wait(self.pending, num_returns=len(self._pending), timeout=GRACE_S)
            for reference in late:
                self._store(reference)

    def kill(self) -> None:
        """Kill every worker's process."""
        for actor in self._actors:
            ray.kill(actor, no_restart=True)
        self._pending.clear()

    def _store(self, reference: Any) -> None:
        index = self._pending.pop(reference)
        try:
            result = ray.get(reference)
        except Exception as error:
            self.errors[index] = error
            return
        if isinstance(result, WorkerLocation):
            self.locations[index] = result
        elif isinstance(result, UnfitGpus):
            self.unfit[index] = result
        else:
            self.records[index] = TrialRecord.model_validate_json(result)


def peer_addresses(locations: Sequence[WorkerLocation]) -> list[str]:
    """Return HOST:PORT of each worker, on the loopback interface if all run on one machine.

    Raises ResourceError if they run on several and one has no address that the others can use.
    """
    if len({location.host for location in locations}) == 1:
        return [f"{LOOPBACK}:{location.port}" for location in locations]
    if any(location.address is None for location in locations):
        raise no_network()
    return [f"{_bracketed(str(each.address))}:{each.port}" for each in locations]


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _tf_config(peers: Sequence[str], index: int) -> str:
    """Return TensorFlow's description of the cluster, the value of the variable TF_CONFIG."""
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": list(peers)}, "task": task})
