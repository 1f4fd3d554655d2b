"""The workers of one trial: fresh processes, started together, ended together.

Usage:
    gang = WorkerGroup(trial, group, reservation)
    gang.pending                       # references to wait for
    gang.collect(ready)                # take in what is ready
    gang.has_failed / gang.is_placed / gang.records
"""

import dataclasses
import json
import uuid
from collections.abc import Sequence
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from bench.execution.gpus.device_fitness import GpuAllotment, UnfitGpus
from bench.execution.ray_backend.peer_network import LOOPBACK, no_network
from bench.execution.ray_backend.worker import Worker, WorkerLocation
from bench.execution.scheduling.resources import ResourceRequest
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial

GRACE_S = 3.0
"""How long the others are given to say what happened once one worker is in trouble."""


class WorkerGroup:
    """All workers of a trial, one in each bundle of a placement group."""

    def __init__(
        self,
        trial: Trial,
        group: PlacementGroup,
        reservation: ResourceRequest,
        allotment: GpuAllotment,
    ) -> None:
        self.trial = trial
        self.key = uuid.uuid4().hex
        """Its own, by which its workers' news is told from that of an earlier try."""
        self.places: dict[int, WorkerLocation] = {}
        self.records: dict[int, TrialRecord] = {}
        self.errors: dict[int, Exception] = {}
        """What Ray raised in a worker's place, in the order in which it was learnt."""
        self.unfit: dict[int, UnfitGpus] = {}
        """The workers that did not start since their GPUs are not to be used."""
        actor_class: Any = ray.remote(Worker)
        needs = reservation.needs(trial.variant)
        self._threads = reservation.threads_of(trial.variant)
        self._slots = [
            reservation.slot_of(trial.variant, index) for index in range(trial.variant.workers)
        ]
        allotted = dataclasses.replace(allotment, gpus=int(needs.get("GPU", 0)))
        self._actors = [
            actor_class.options(
                scheduling_strategy=PlacementGroupSchedulingStrategy(
                    group, reservation.bundle_of(trial.variant, index)
                ),
                max_restarts=0,
                num_cpus=needs["CPU"],
                num_gpus=needs.get("GPU", 0),
            ).remote(allotted)
            for index in range(trial.variant.workers)
        ]
        has_peers = len(self._actors) > 1
        self._asked = {actor.place.remote(has_peers): i for i, actor in enumerate(self._actors)}

    @property
    def pending(self) -> list[Any]:
        """What the workers have still to answer."""
        return list(self._asked)

    @property
    def is_placed(self) -> bool:
        """Whether every worker has said where it is."""
        return len(self.places) == len(self._actors)

    @property
    def is_finished(self) -> bool:
        """Whether every worker has given its record."""
        return len(self.records) == len(self._actors)

    @property
    def has_failed(self) -> bool:
        """Whether a worker died or its part did not complete, so that the others may hang."""
        return bool(self.errors) or any(r.status != "completed" for r in self.records.values())

    def train(self, data: Any, board: Any) -> None:
        """Start training on every worker, each knowing the addresses of all.

        ResourceError where they stand on several machines, and no network is named for them.
        """
        trial_json = self.trial.model_dump_json()
        peers = peer_addresses([self.places[index] for index in range(len(self._actors))])
        for index, actor in enumerate(self._actors):
            tf_config = _tf_config(peers, index) if len(peers) > 1 else None
            answer = actor.train.remote(
                *(trial_json, [data], self._threads, board, self.key, tf_config),
                slot=self._slots[index],
            )
            self._asked[answer] = index

    def collect(self, ready: Sequence[Any]) -> None:
        """Take in those of ``ready`` that are this gang's; after trouble, what follows it."""
        for answer in [a for a in ready if a in self._asked]:
            self._take(answer)
        if (self.has_failed or self.unfit) and self._asked:
            late, _ = ray.wait(self.pending, num_returns=len(self._asked), timeout=GRACE_S)
            for answer in late:
                self._take(answer)

    def kill(self) -> None:
        """End every worker's process."""
        for actor in self._actors:
            ray.kill(actor, no_restart=True)
        self._asked.clear()

    def _take(self, answer: Any) -> None:
        index = self._asked.pop(answer)
        try:
            result = ray.get(answer)
        except Exception as error:
            self.errors[index] = error
            return
        if isinstance(result, WorkerLocation):
            self.places[index] = result
        elif isinstance(result, UnfitGpus):
            self.unfit[index] = result
        else:
            self.records[index] = TrialRecord.model_validate_json(result)


def peer_addresses(places: Sequence[WorkerLocation]) -> list[str]:
    """HOST:PORT of each worker: on the loopback interface where all stand on one machine.

    ResourceError where they do not, and one has no address for the others.
    """
    if len({place.host for place in places}) == 1:
        return [f"{LOOPBACK}:{place.port}" for place in places]
    if any(place.address is None for place in places):
        raise no_network()
    return [f"{_bracketed(str(place.address))}:{place.port}" for place in places]


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _tf_config(peers: Sequence[str], index: int) -> str:
    """TensorFlow's description of a cluster, as the variable TF_CONFIG holds it."""
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": list(peers)}, "task": task})
