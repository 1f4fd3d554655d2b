"""The workers of an arm that this process holds.

Usage:
    part = WorkerProcesses({0: arm_of_worker_0, 1: arm_of_worker_1}, complete, take_logs)
    GangArm(trial, [part])
"""

import socket
from collections.abc import Callable, Mapping, Sequence

from bench.execution.turns.gang_arm import WorkerMessage
from bench.execution.turns.process_arm import ProcessArm, ready_arms
from bench.protocol.messages import TrialEnd, Turn
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import TrialRecord


class WorkerProcesses:
    """The workers of ``arms``, by their indices.

    ``complete`` adds to the record of a worker what its holder knows. ``take_logs`` returns the end
    of each worker's log.
    """

    def __init__(
        self,
        arms: Mapping[int, ProcessArm],
        complete: Callable[[int, TrialRecord], TrialRecord],
        take_logs: Callable[[], dict[int, str | None]],
    ) -> None:
        self._arms, self._complete, self._take_logs = dict(arms), complete, take_logs
        self._running = dict(arms)
        """Those that have not ended."""
        self._records: dict[int, TrialRecord] = {}

    @property
    def node(self) -> str:
        """The name of their node."""
        return socket.gethostname()

    @property
    def workers(self) -> Sequence[int]:
        """Their indices."""
        return tuple(self._arms)

    def start(self) -> None:
        """Start their processes."""
        self._running, self._records = dict(self._arms), {}
        for arm in self._arms.values():
            arm.start()

    def give(self, turn: Turn) -> None:
        """Let them train."""
        for arm in self._arms.values():
            arm.give(turn)

    def receive(self, timeout_s: float) -> list[WorkerMessage]:
        """Return what they report next, each end once; nothing if nothing comes in time."""
        ready = ready_arms(self._running.values(), timeout_s)
        messages: list[WorkerMessage] = []
        for worker in [worker for worker, arm in self._running.items() if arm in ready]:
            # All at once: a process whose socket is full would stop training.
            while (message := self._running[worker].receive(0.0)) is not None:
                messages.append((worker, message))
                if isinstance(message, TrialEnd):
                    self._records[worker] = message.record
                if isinstance(message, TrialEnd | TrialFailure):
                    del self._running[worker]
                    break
        return messages

    def complete(self) -> dict[int, TrialRecord | TrialFailure]:
        """End the workers that have sent their record, and return it with what each used."""
        return {
            worker: self._complete(worker, self._arms[worker].complete(record))
            for worker, record in self._records.items()
        }

    def take_logs(self) -> dict[int, str | None]:
        """Return the end of each worker's log, and delete it."""
        return self._take_logs()

    def kill(self) -> list[str]:
        """End their processes and wait until they are gone; return which did not end."""
        return [line for arm in self._arms.values() for line in arm.kill()]
