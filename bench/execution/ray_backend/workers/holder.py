"""Hold a block's devices in one Ray actor, and train the block's trials in its child processes.

Usage:
    holder = ray.remote(Holder).remote(allotment)
    place = ray.get(holder.locate.remote(trials=2))
    unfit = ray.get(holder.begin.remote(work, data))       # None: the block has begun
    while not (report := ray.get(holder.report.remote())).ended:
        report.events

The actor imports no TensorFlow. When it ends, however that happens, the kernel ends its children.
"""

import contextlib
import dataclasses
import functools
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench.errors import ResourceError
from bench.execution.executor import EpochEnd, Limits
from bench.execution.gpus.gpu_fitness import GpuAllotment, UnfitGpus, acquire_gpus
from bench.execution.gpus.gpu_visibility import set_visible_gpus
from bench.execution.ray_backend.cluster.peer_network import LOOPBACK, nccl_variables
from bench.execution.ray_backend.workers.assigned_gpus import assigned_gpus
from bench.execution.ray_backend.workers.epoch_log import append_epoch
from bench.execution.ray_backend.workers.held_devices import HeldDevices
from bench.execution.ray_backend.workers.kept_programs import KeptPrograms
from bench.execution.ray_backend.workers.worker import (
    WorkerLocation,
    locate_process,
    log_folder,
)
from bench.execution.ray_backend.workers.worker_log import (
    make_log,
    read_worker_log,
    redirect_output,
)
from bench.execution.turns.arm_run import ArmStart, Event
from bench.execution.turns.coordinator import TurnSettings
from bench.execution.turns.held_block import ArmSetup, run_held_block
from bench.execution.turns.memory_room import free_bytes
from bench.records.clock import utc_now
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial

REPORT_S = 5.0
"""How long the holder waits for events before it reports none."""


@dataclass(frozen=True)
class BlockWork:
    """The trials of a block, and how they run."""

    trials: tuple[Trial, ...]
    threads: tuple[int, ...]
    """Of each trial."""
    settings: TurnSettings
    limits: Limits


class HolderPlace(NamedTuple):
    """Where a holder runs, with a log for each trial."""

    location: WorkerLocation
    logs: tuple[str, ...]


class HolderReport(NamedTuple):
    """What has happened since the last report."""

    events: tuple[ArmStart | EpochEnd | TrialRecord, ...]
    ended: bool
    """Whether every trial has its record."""


class Holder:
    """A new process for one block, with the GPUs and settings of ``allotment``."""

    def __init__(self, allotment: GpuAllotment) -> None:
        self._allotment = allotment
        self._gpus: tuple[str, ...] = ()
        self._logs: tuple[str, ...] = ()
        """Of each trial, and at last its own."""
        self._started_at: dict[str, str] = {}
        self._events: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()

    def locate(self, trials: int) -> HolderPlace:
        """Return where this process runs, and make the logs of as many trials."""
        self._gpus = assigned_gpus()
        set_visible_gpus(self._gpus)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        folder = log_folder()
        log = redirect_output(folder)
        logs = tuple(make_log(folder) for _ in range(trials))
        self._logs = (*logs, log)
        return HolderPlace(locate_process(self._gpus, log), logs)

    def begin(self, work: BlockWork, data: Sequence[list[Any]]) -> UnfitGpus | None:
        """Begin to train ``work``; ``data`` has a list with one reference for each trial.

        If a GPU that Ray assigned is unfit, nothing starts and the GPUs are returned.
        """
        acquired = acquire_gpus(self._gpus, self._allotment)
        if isinstance(acquired, UnfitGpus):
            return acquired
        devices = HeldDevices(self._gpus, acquired, self._allotment, max(work.threads))
        if acquired.uuids:
            os.environ.update(nccl_variables(LOOPBACK))
        threading.Thread(target=self._run, args=[work, devices, data], daemon=True).start()
        return None

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

    def _run(self, work: BlockWork, devices: HeldDevices, data: Sequence[list[Any]]) -> None:
        """Train the block, and keep its events for the next reports; delete the logs at its end."""
        try:
            for event in self._train(work, devices, data):
                self._events.put(event)
            for log in self._logs:
                read_worker_log(log)
            self._events.put(None)
        except BaseException as error:
            self._events.put(error)

    def _train(
        self, work: BlockWork, devices: HeldDevices, data: Sequence[list[Any]]
    ) -> Iterator[Event]:
        with KeptPrograms(devices, work.trials) as programs:
            yield from self._train_with(programs, work, devices, data)

    def _train_with(
        self,
        programs: KeptPrograms,
        work: BlockWork,
        devices: HeldDevices,
        data: Sequence[list[Any]],
    ) -> Iterator[Event]:
        setups: dict[str, ArmSetup] = {}
        arrays = _fetched(data)
        for trial, threads, array, log in zip(
            work.trials, work.threads, arrays, self._logs[:-1], strict=True
        ):
            try:
                setup = devices.setup(trial, threads, array, Path(log))
                setups[trial.trial_id] = programs.extend(setup)
            except ResourceError as error:
                yield TrialRecord(trial=trial, status="failed", error=str(error), wall_s=0.0)
        memory = functools.partial(free_bytes, devices.uuids)
        for event in run_held_block(list(setups.values()), work.settings, work.limits, memory):
            match event:
                case ArmStart(trial=trial):
                    self._started_at[trial.trial_id] = utc_now()
                    yield event
                case EpochEnd(trial_id=trial_id, epoch=epoch):
                    append_epoch(str(setups[trial_id].log), epoch)
                    yield event
                case TrialRecord():
                    setup = setups[event.trial.trial_id]
                    record = programs.complete(devices.complete(event, setup), setup)
                    yield self._complete(record, setup)
                case _:
                    pass  # turns are in the records' windows

    def _complete(self, record: TrialRecord, setup: ArmSetup) -> TrialRecord:
        """Return ``record`` with its log's tail if it did not complete; delete the log."""
        tail = read_worker_log(str(setup.log)).log_tail
        started_at = self._started_at.get(record.trial.trial_id)
        record = record.model_copy(update={"started_at": started_at})
        if record.status == "completed":
            return record
        texts = "\n".join(text for text in (tail, record.log_tail) if text) or None
        return record.model_copy(update={"log_tail": texts})


def _fetched(data: Sequence[list[Any]]) -> list[Any]:
    """Return the object of each reference; equal references give the same object."""
    import ray

    fetched: dict[Any, Any] = {}
    for (reference,) in data:
        if reference not in fetched:
            fetched[reference] = ray.get(reference)
    return [fetched[reference] for (reference,) in data]


def location_of(place: HolderPlace, index: int) -> WorkerLocation:
    """Return the holder's location with the log of the trial ``index``."""
    return dataclasses.replace(place.location, log=place.logs[index])
