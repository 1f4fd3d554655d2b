"""Drive the workers that another holder of the block has, by calls of its actor.

Usage:
    remote = RemoteHolder(actor, place)
    remote.open(work, data, peers)
    failures = remote.opened()
    GangArm(trial, [own_part, RemoteWorkers(remote, trial_id)])

If the holder dies or its node is lost, its workers end with the reason.
"""

from collections.abc import Sequence
from typing import Any

import ray

from bench.execution.ray_backend.workers.block_work import BlockWork, Peers
from bench.execution.ray_backend.workers.holder_place import HolderPlace
from bench.execution.ray_backend.workers.worker_failure import (
    classify_failure,
    take_worker_logs,
)
from bench.execution.trial_processes.trial_process import PRELOADER_TIMEOUT_S
from bench.execution.turns.gang_arm import WorkerMessage
from bench.protocol.messages import Turn
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import TrialRecord

_OPEN_S = 600.0
"""How long a holder may take to import TensorFlow for each kind of process."""
_CALL_S = 2 * PRELOADER_TIMEOUT_S
"""How long a call may take that ends processes or reads what they left."""
POLL_S = 1.0
"""How long a holder waits for messages of workers in one call."""


class RemoteHolder:
    """The holder at ``place``, which has none of the block's first workers."""

    def __init__(self, actor: Any, place: HolderPlace) -> None:
        self._actor, self.place = actor, place
        self._opening: Any = None
        self.failure: TrialFailure | None = None
        """Why it no longer answers; None if it does."""

    def open(self, work: BlockWork, data: Sequence[Any], peers: Peers) -> None:
        """Let it prepare its workers; it does so while others do."""
        self._opening = self._actor.open.remote(work, data, peers)

    def opened(self) -> dict[str, TrialFailure]:
        """Return the trials that cannot run there, by id; all if it does not answer."""
        failures = self._answer(self._opening, _OPEN_S)
        if self.failure:
            return dict.fromkeys((trial_id for trial_id, _ in self.place.logs), self.failure)
        return dict(failures)

    def free_bytes(self) -> dict[str, int]:
        """Return the free memory of its node and of its GPUs; nothing if it does not answer."""
        return dict(self.call("free_bytes") or {})

    def send(self, method: str, *arguments: object) -> Any:
        """Call the holder; return a reference to its answer."""
        return getattr(self._actor, method).remote(*arguments)

    def call(self, method: str, *arguments: object) -> Any:
        """Call the holder; return its answer, or None if it has died or does not answer."""
        return None if self.failure else self._answer(self.send(method, *arguments), _CALL_S)

    def result(self, reference: Any, timeout_s: float) -> Any:
        """Return the answer at ``reference``, or None if it does not come in time."""
        try:
            ready, _ = ray.wait([reference], timeout=timeout_s)
            return ray.get(ready[0]) if ready else None
        except Exception as error:
            self.failure = self.failure or self._classified(error)
            return None

    def _answer(self, reference: Any, timeout_s: float) -> Any:
        """Return the answer at ``reference``; a holder that does not answer in time is lost."""
        ready, _ = ray.wait([reference], timeout=timeout_s)
        if not ready and self.failure is None:
            reason = f"the process that holds its devices did not answer for {timeout_s:g} s"
            self.failure = TrialFailure("worker_lost", reason)
        return self.result(reference, 0.0)

    def _classified(self, error: Exception) -> TrialFailure:
        """Return why its actor does not answer.

        Memory that it shared with other trials says nothing about any of them: they are lost.
        """
        location = self.place.location
        status, reason = classify_failure(
            error, location, take_worker_logs([location]).get(location)
        )
        several = len({trial_id for trial_id, _ in self.place.logs}) > 1
        lost = status == "out_of_memory" and several
        return TrialFailure("worker_lost" if lost else status, reason)


class RemoteWorkers:
    """The workers of a trial that a remote holder has."""

    def __init__(self, holder: RemoteHolder, trial_id: str) -> None:
        self._holder, self._trial_id = holder, trial_id
        self.workers: Sequence[int] = [w for of, w in holder.place.logs if of == trial_id]
        """Their indices."""
        self._answer: Any = None

    @property
    def node(self) -> str:
        """The name of their node."""
        return self._holder.place.location.node

    def start(self) -> None:
        """Start their processes."""
        self._answer = None
        self._holder.send("call_part", self._trial_id, "start")

    def give(self, turn: Turn) -> None:
        """Let them train."""
        self._holder.send("call_part", self._trial_id, "give", turn)

    def receive(self, timeout_s: float) -> Sequence[WorkerMessage]:
        """Return what they report next, each end once; nothing if nothing comes in time."""
        if self._holder.failure is None:
            if self._answer is None:
                self._answer = self._holder.send("call_part", self._trial_id, "receive", POLL_S)
            messages = self._holder.result(self._answer, timeout_s)
            if messages is not None:
                self._answer = None
                return list(messages)
        failure = self._holder.failure
        return [(worker, failure) for worker in self.workers] if failure else ()

    def complete(self) -> dict[int, TrialRecord | TrialFailure]:
        """End the workers that have sent their record, and return it with what each used."""
        completed = self._holder.call("call_part", self._trial_id, "complete")
        failure = self._holder.failure
        return dict.fromkeys(self.workers, failure) if failure else dict(completed)

    def take_logs(self) -> dict[int, str | None]:
        """Return the end of each worker's log, and delete it."""
        taken = self._holder.call("call_part", self._trial_id, "take_logs")
        if self._holder.failure is None:
            return dict(taken)
        places = {w: self._holder.place.location_of(self._trial_id, w) for w in self.workers}
        logs = take_worker_logs(places.values())
        return {worker: logs[place].log_tail for worker, place in places.items() if place in logs}

    def kill(self) -> list[str]:
        """End their processes and wait until they are gone; return which did not end."""
        return list(self._holder.call("call_part", self._trial_id, "kill") or ())
