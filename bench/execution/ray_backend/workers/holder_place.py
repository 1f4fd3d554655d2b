"""Where a holder runs, with the logs and ports of its workers.

Usage:
    peers = peers_of(arms, places)             # how workers of several holders reach each other
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.errors import ResourceError
from bench.execution.ray_backend.cluster.peer_network import peer_addresses
from bench.execution.ray_backend.workers.block_work import ArmWork, Peers, WorkerKey
from bench.execution.ray_backend.workers.worker_location import WorkerLocation
from bench.records.trial_failure import TrialFailure


@dataclass(frozen=True)
class HolderPlace:
    """Where a holder runs, and what its workers have."""

    location: WorkerLocation
    """With its own log."""
    logs: Mapping[WorkerKey, str]
    ports: Mapping[WorkerKey, int] = field(default_factory=dict)
    """For the peers of each worker that has any."""
    unprotected: str | None = None
    """Why no port can be reserved for peers; None if one can."""

    def location_of(self, trial_id: str, worker: int) -> WorkerLocation:
        """Return the location with the worker's log."""
        return dataclasses.replace(self.location, log=self.logs[trial_id, worker])


def peers_of(arms: Sequence[ArmWork], places: Sequence[HolderPlace]) -> Peers:
    """Return how the workers of each of ``arms`` reach each other; ``places`` are by holder."""
    addresses: dict[str, tuple[str, ...]] = {}
    unreachable: dict[str, TrialFailure] = {}
    for arm in arms:
        if len(arm.slots) > 1:
            try:
                addresses[arm.trial.trial_id] = tuple(_addresses(arm, places))
            except ResourceError as error:
                unreachable[arm.trial.trial_id] = TrialFailure("failed", str(error))
    return Peers(addresses, unreachable)


def _addresses(arm: ArmWork, places: Sequence[HolderPlace]) -> list[str]:
    """Return HOST:PORT of each worker; ResourceError if the others cannot reach one."""
    held_by = [places[slot.holder] for slot in arm.slots]
    for place in held_by:
        if place.unprotected:
            raise ResourceError(place.unprotected)
    return peer_addresses(
        hosts=[place.location.host for place in held_by],
        addresses=[place.location.address for place in held_by],
        ports=[place.ports[arm.trial.trial_id, worker] for worker, place in enumerate(held_by)],
    )
