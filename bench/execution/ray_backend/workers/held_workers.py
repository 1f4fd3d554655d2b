"""Prepare the workers that a holder has of each arm of its block, and complete their records.

Usage:
    workers = HeldWorkers(number, devices, logs, guards)
    failures = workers.open(block_work, data, peers)       # of trials that cannot run, by id
    part = workers.part(trial_id)                          # of an arm of several workers
    arm = workers.arm(trial_id)                            # of any other
    workers.close()
"""

import contextlib
import json
import socket
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from bench.errors import HelperError, ResourceError
from bench.execution.ray_backend.workers.block_work import (
    ArmWork,
    BlockWork,
    Peers,
    WorkerKey,
)
from bench.execution.ray_backend.workers.held_devices import HeldDevices, PeerVariables
from bench.execution.ray_backend.workers.kept_programs import KeptPrograms
from bench.execution.ray_backend.workers.port_guard import PortGuard
from bench.execution.ray_backend.workers.worker_log import take_worker_log
from bench.execution.turns.arm_data import ArmData
from bench.execution.turns.held_arms import ArmSetup, HeldArms, start_failure
from bench.execution.turns.memory_room import free_bytes
from bench.execution.turns.process_arm import ProcessArm
from bench.execution.turns.worker_processes import WorkerProcesses
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import TrialRecord


class HeldWorkers:
    """The workers of the holder ``number``, with a log for each, and a guard where it has peers."""

    def __init__(
        self,
        number: int,
        devices: HeldDevices,
        logs: Mapping[WorkerKey, str],
        guards: Mapping[WorkerKey, PortGuard],
    ) -> None:
        self._number, self._devices = number, devices
        self._logs, self._guards = logs, guards
        self._stack = contextlib.ExitStack()
        self._setups: dict[WorkerKey, ArmSetup] = {}
        self._arms: dict[WorkerKey, ProcessArm] = {}
        self._parts: dict[str, WorkerProcesses] = {}

    def close(self) -> None:
        """End all processes and delete all logs."""
        self._stack.close()
        for log in self._logs.values():
            take_worker_log(log)

    def open(
        self, work: BlockWork, data: Sequence[ArmData], peers: Peers
    ) -> dict[str, TrialFailure]:
        """Prepare the arms, each with its ``data``; return those that cannot run, and why."""
        trials = [arm.trial for arm in work.arms]
        self._programs = self._stack.enter_context(KeptPrograms(self._devices, trials))
        held = self._stack.enter_context(HeldArms())
        failures = dict(peers.unreachable)
        for arm in work.arms:
            if arm.trial.trial_id not in failures:
                try:
                    self._set_up(arm, peers)
                except ResourceError as error:
                    failures[arm.trial.trial_id] = start_failure(error)
        try:
            data_of = {arm.trial.trial_id: of for arm, of in zip(work.arms, data, strict=True)}
            self._arms = {
                key: held.arm(setup, data_of[key[0]]) for key, setup in self._setups.items()
            }
        except (HelperError, ResourceError, OSError) as error:
            here = [arm.trial.trial_id for arm in work.arms if arm.workers_of(self._number)]
            return dict.fromkeys(here, start_failure(error)) | failures
        return failures

    @property
    def node(self) -> str:
        """The name of this node."""
        return socket.gethostname()

    def free_bytes(self) -> dict[str, int]:
        """Return the free memory of this node and of the GPUs."""
        return free_bytes(self._devices.uuids)

    def log(self, trial_id: str) -> str:
        """Return the log of a trial's first worker."""
        return self._logs[trial_id, 0]

    def arm(self, trial_id: str) -> ProcessArm:
        """Return the arm of a trial with one worker."""
        return self._arms[trial_id, 0]

    def part(self, trial_id: str) -> WorkerProcesses:
        """Return the workers of a trial that has several."""
        if trial_id not in self._parts:
            arms = {worker: arm for (of, worker), arm in self._arms.items() if of == trial_id}
            complete = partial(self.complete, trial_id)
            take_logs = partial(self.take_logs, trial_id)
            self._parts[trial_id] = WorkerProcesses(arms, complete, take_logs)
        return self._parts[trial_id]

    def complete(self, trial_id: str, worker: int, record: TrialRecord) -> TrialRecord:
        """Return the record of a worker with where and with what it ran."""
        setup = self._setups[trial_id, worker]
        return self._programs.complete(self._devices.complete(record, setup), setup)

    def take_logs(self, trial_id: str) -> dict[int, str | None]:
        """Return the end of each worker's log, and delete it."""
        logs = {worker: log for (of, worker), log in self._logs.items() if of == trial_id}
        return {worker: take_worker_log(log).log_tail for worker, log in logs.items()}

    def _set_up(self, arm: ArmWork, peers: Peers) -> None:
        """Set up the workers that this holder has of ``arm``."""
        trial_id = arm.trial.trial_id
        for worker in arm.workers_of(self._number):
            key, position = (trial_id, worker), arm.slots[worker].position
            with_peers = None
            if trial_id in peers.addresses:
                with_peers = self._admit(key, peers.addresses[trial_id])
            setup = self._devices.setup(
                arm.trial, arm.threads, Path(self._logs[key]), position, with_peers
            )
            self._setups[key] = self._programs.extend(setup)

    def _admit(self, key: WorkerKey, addresses: Sequence[str]) -> PeerVariables:
        """Open the worker's port to its peers."""
        hosts = [address.rpartition(":")[0].strip("[]") for address in addresses]
        guard, worker = self._guards[key], key[1]
        guard.admit(hosts)
        task = {"type": "worker", "index": worker}
        tf_config = json.dumps({"cluster": {"worker": list(addresses)}, "task": task})
        return PeerVariables(hosts[worker], tf_config, guard.variables, guard.fileno())
