"""Hold a block's devices in a Ray actor on each of its nodes, and train in child processes.

Usage:
    holders = [ray.remote(Holder).remote(allotment, number) for number in (0, 1)]
    places = ray.get([holder.locate.remote(arms) for holder in holders])
    unfit = ray.get([holder.acquire.remote() for holder in holders])       # None: all are fit
    holders[0].begin.remote(work, data, peers, others)
    while not (report := ray.get(holders[0].report.remote())).ended:
        report.events

The first holder coordinates the block: it has the first worker of each arm, and drives the workers
of the others. The actors import no TensorFlow. When one ends, however that happens, the kernel ends
its children.
"""

import contextlib
import os
import queue
import socket
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import ray

from bench.errors import ResourceError
from bench.execution.gpus.gpu_fitness import GpuAllotment, UnfitGpus, acquire_gpus
from bench.execution.gpus.gpu_visibility import set_visible_gpus
from bench.execution.ray_backend.cluster.peer_network import address_for_peers
from bench.execution.ray_backend.workers.assigned_gpus import assigned_gpus
from bench.execution.ray_backend.workers.block_training import train_block
from bench.execution.ray_backend.workers.block_work import ArmWork, BlockWork, Peers, WorkerKey
from bench.execution.ray_backend.workers.held_devices import HeldDevices
from bench.execution.ray_backend.workers.held_workers import HeldWorkers
from bench.execution.ray_backend.workers.holder_place import HolderPlace
from bench.execution.ray_backend.workers.port_guard import PortGuard
from bench.execution.ray_backend.workers.remote_workers import RemoteHolder
from bench.execution.ray_backend.workers.worker_location import locate_process, log_folder
from bench.execution.ray_backend.workers.worker_log import (
    make_log,
    redirect_output,
    take_worker_log,
)
from bench.execution.turns.arm_data import ArmData
from bench.execution.turns.arm_run import BlockEvent
from bench.records.trial_failure import TrialFailure

REPORT_S = 5.0
"""How long the holder waits for events before it reports none."""


class HolderReport(NamedTuple):
    """What has happened since the last report."""

    events: tuple[BlockEvent, ...]
    ended: bool
    """Whether every trial has its record."""


class Holder:
    """A new process for one block, with the GPUs and settings of ``allotment``."""

    def __init__(self, allotment: GpuAllotment, number: int = 0) -> None:
        self._allotment, self._number = allotment, number
        self._gpus: tuple[str, ...] = ()
        self._arms: tuple[ArmWork, ...] = ()
        self._log = ""
        self._logs: dict[WorkerKey, str] = {}
        self._guards: dict[WorkerKey, PortGuard] = {}
        self._events: queue.SimpleQueue[BlockEvent | BaseException | None] = queue.SimpleQueue()

    def locate(self, arms: Sequence[ArmWork]) -> HolderPlace:
        """Return where this process runs, with a log and a port for each of its workers."""
        self._gpus, self._arms = assigned_gpus(), tuple(arms)
        set_visible_gpus(self._gpus)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        folder = log_folder()
        self._log = redirect_output(folder)
        workers = [(arm, worker) for arm in arms for worker in arm.workers_of(self._number)]
        self._logs = {(arm.trial.trial_id, worker): make_log(folder) for arm, worker in workers}
        unprotected = None
        try:
            with_peers = [(arm, worker) for arm, worker in workers if len(arm.slots) > 1]
            self._guards = {(arm.trial.trial_id, w): PortGuard() for arm, w in with_peers}
        except ResourceError as error:
            unprotected = str(error)
        address = address_for_peers(self._allotment.network)
        return HolderPlace(
            locate_process(self._log, address),
            self._logs,
            {key: guard.port for key, guard in self._guards.items()},
            unprotected,
        )

    def acquire(self) -> UnfitGpus | None:
        """Prepare for the devices; return the GPUs that Ray assigned and that are unfit."""
        acquired = acquire_gpus(self._gpus, self._allotment)
        if isinstance(acquired, UnfitGpus):
            return acquired
        cores = max(arm.threads * len(arm.workers_of(self._number)) for arm in self._arms)
        devices = HeldDevices(self._gpus, acquired, self._allotment, cores)
        self._workers = HeldWorkers(self._number, devices, self._logs, self._guards)
        return None

    def begin(
        self,
        work: BlockWork,
        data: Sequence[Sequence[Any]],
        peers: Peers,
        others: Sequence[RemoteHolder] = (),
    ) -> None:
        """Begin to train ``work``; ``data`` has a list with one reference for each trial.

        ``others`` are the further holders of the block, in order.
        """
        threading.Thread(target=self._run, args=[work, data, peers, others], daemon=True).start()

    def report(self) -> HolderReport:
        """Return what has happened, as soon as something has; raises what ended the block."""
        events: list[Any] = []
        with contextlib.suppress(queue.Empty):
            event = self._events.get(timeout=REPORT_S)
            while not (event is None or isinstance(event, BaseException)):
                events.append(event)
                event = self._events.get_nowait()
            if event is None:
                return HolderReport(tuple(events), ended=True)
            if not events:
                raise event
            self._events.put(event)  # it is the last one, and the next report raises it
        return HolderReport(tuple(events), ended=False)

    def open(
        self, work: BlockWork, data: Sequence[Sequence[Any]], peers: Peers
    ) -> dict[str, TrialFailure]:
        """Prepare the workers; return the trials that cannot run here, by id, and why."""
        return self._workers.open(work, _data_of(data), peers)

    def call_part(self, trial_id: str, method: str, *arguments: object) -> Any:
        """Call a method of a trial's workers (``WorkerProcesses``), for the first holder."""
        return getattr(self._workers.part(trial_id), method)(*arguments)

    def free_bytes(self) -> dict[str, int]:
        """Return the free memory of this node and of the GPUs."""
        free = self._workers.free_bytes()
        return {f"{socket.gethostname()}'s host": free.pop("host"), **free}

    def close(self) -> None:
        """End all processes and delete all logs."""
        self._workers.close()
        take_worker_log(self._log)

    def _run(
        self,
        work: BlockWork,
        data: Sequence[Sequence[Any]],
        peers: Peers,
        others: Sequence[RemoteHolder],
    ) -> None:
        """Train the block, and keep its events for the next reports; delete the logs at its end."""
        try:
            for other in others:
                other.open(work, data, peers)
            failures = self.open(work, data, peers)
            for other in others:
                failures |= other.opened()
            for event in train_block(work, failures, self._workers, others):
                self._events.put(event)
            for other in others:
                other.call("close")
            self.close()
            self._events.put(None)
        except BaseException as error:
            self._events.put(error)


def _data_of(data: Sequence[Sequence[Any]]) -> list[ArmData]:
    """Return the data of each trial, which are fetched from the object store when needed."""
    # Numbers of objects may repeat in another Ray.
    node = ray.get_runtime_context().get_node_id()
    return [
        ArmData(f"{node}-{reference.hex()}", partial(ray.get, reference)) for (reference,) in data
    ]
