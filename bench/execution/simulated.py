"""Simulate trials: make records from a model of their time, on a virtual clock.

Usage:
    with SimulatedExecutor(devices=8) as executor: ...
    with SimulatedExecutor(devices=[8, 8, 4]) as executor: ...      # of each node
    executor.makespan_s

For tests of everything around a trial, and for planning: blocks are scheduled as on a cluster with
these devices. The records say in ``node`` and ``resolved`` that they are simulated, and hold no
accuracy.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Self

from bench.execution.estimation.estimator import START_S, estimated_epoch_s, estimated_trial_s
from bench.execution.executor import EpochEnd, Limits, OnEvent, TrialStart
from bench.execution.oom_skip import skipped_record
from bench.execution.scheduling.cluster import Cluster
from bench.execution.scheduling.queue import job_of
from bench.execution.scheduling.resources import ResourceRequest, is_spread
from bench.execution.scheduling.scheduler import Scheduler
from bench.records.epoch_record import EpochRecord
from bench.records.measures import Measures
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Block, Trial
from bench.spec.variant import Variant

StatusChooser = Callable[[Trial, int], Status]
"""Chooses the status of an attempt (counted from 1) at a trial."""


_NODE = "simulated"


class SimulatedExecutor:
    """An executor whose trials take no time; ``status_of`` chooses the status of each.

    The scheduler places blocks on a cluster with ``devices`` GPUs: on one node, or on each of
    several. None makes the cluster just large enough for every block.
    """

    name = "simulated"
    devices_allotted = False
    uses_gpus = False
    gpus: tuple[str, ...] = ()

    def __init__(
        self,
        devices: int | Sequence[int] | None = None,
        epoch_s: Callable[[Trial], float] | None = None,
        status_of: StatusChooser = lambda _trial, _attempt: "completed",
    ) -> None:
        sizes = [devices] if isinstance(devices, int) else devices
        self._sizes = sizes
        self.parallel_blocks = sum(sizes) if sizes else 1
        self.makespan_s = 0.0
        self._epoch_s = epoch_s or _estimated_epoch_s
        self._status_of = status_of

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: nothing was acquired."""

    def environment(self) -> dict[str, Any]:
        """Return nothing: there is no node."""
        return {}

    def run(
        self, blocks: Sequence[Block], limits: Limits, on_event: OnEvent
    ) -> Generator[TrialRecord, None, None]:
        """Run each block as soon as the scheduler has devices for it, in virtual time."""
        cluster = Cluster(_nodes(self._sizes or _sufficient_nodes(blocks)), "gpu")
        scheduler = Scheduler(cluster.sizes)
        for number, block in enumerate(blocks):
            shape = cluster.shape_of(block)
            scheduler.add(job_of(number, block, shape, scheduler.capacity, estimated_trial_s))
        free = {n: [f"{n}-{i}" for i in reversed(range(s))] for n, s in cluster.sizes.items()}
        running: list[tuple[float, int, list[str]]] = []
        now = 0.0
        while scheduler.waiting or running:
            for job in scheduler.start(now):
                nodes = scheduler.nodes_of(job.key)
                request = cluster.request_for(blocks[job.key], nodes)
                devices = [free[n].pop() for n in nodes for _ in range(job.shape.devices_each)]
                ends_at = now
                for trial in blocks[job.key].trials:
                    for record in self._attempts(trial, limits, on_event):
                        ends_at += record.wall_s or 0.0
                        used = _devices_of_trial(trial.variant, request, devices)
                        yield record.model_copy(update={"devices": used})
                heapq.heappush(running, (ends_at, job.key, devices))
            now, number, devices = heapq.heappop(running)
            for device in devices:
                free[device.rpartition("-")[0]].append(device)
            scheduler.finish(number)
        self.makespan_s = now

    def _attempts(self, trial: Trial, limits: Limits, on_event: OnEvent) -> Iterator[TrialRecord]:
        if reason := limits.skip_reason(trial):
            yield skipped_record(trial, reason)
            return
        for attempt in range(1, limits.retries + 2):
            record = self._record(trial, self._status_of(trial, attempt), limits)
            try:
                on_event(TrialStart(trial, _NODE))
                for epoch in record.epochs:
                    on_event(EpochEnd(trial.trial_id, epoch))
            except KeyboardInterrupt:
                yield record.model_copy(update={"status": "interrupted", "error": "interrupted"})
                raise
            yield record
            if record.status != "worker_lost":
                return

    def _record(self, trial: Trial, status: Status, limits: Limits) -> TrialRecord:
        epoch_s = self._epoch_s(trial)
        trained = trial.variant.epochs if status == "completed" else 0
        limit_s = limits.trial_timeout_s
        if START_S + trained * epoch_s > limit_s:
            status, trained = "timed_out", min(trained, int(max(0.0, limit_s - START_S) / epoch_s))
        return TrialRecord(
            trial=trial,
            status=status,
            error=None if status == "completed" else "simulated",
            node=_NODE,
            resolved={"simulated": True},
            measures=Measures(cold_start_s=START_S / 3, import_s=START_S / 3),
            epochs=tuple(_epoch(trial, number, epoch_s) for number in range(trained)),
            wall_s=limit_s if status == "timed_out" else START_S + trained * epoch_s,
        )


def _sufficient_nodes(blocks: Sequence[Block]) -> list[int]:
    """Return sizes of nodes that hold any of ``blocks``."""
    variants = [trial.variant for block in blocks for trial in block.trials]
    most = max((v.total_replicas for v in variants), default=1)
    return [most] * max((v.workers for v in variants if is_spread(v)), default=1)


def _nodes(sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Describe the nodes as Ray would."""
    for number, size in enumerate(sizes):
        resources = {"GPU": size, "CPU": size}
        yield {"NodeID": f"{_NODE}-{number}", "Alive": True, "Resources": resources}


def _devices_of_trial(
    variant: Variant, request: ResourceRequest, devices: Sequence[str]
) -> tuple[str, ...]:
    """Return those of a block's devices that the workers of one of its trials use."""
    each = len(devices) // len(request.bundles)
    bundles = [iter(devices[first : first + each]) for first in range(0, len(devices), each)]
    by_worker = [bundles[request.bundle_of(variant, worker)] for worker in range(variant.workers)]
    return tuple(d for bundle in by_worker for d in itertools.islice(bundle, variant.replicas))


def _epoch(trial: Trial, number: int, epoch_s: float) -> EpochRecord:
    variant = trial.variant
    steps = variant.whole_epoch_steps
    return EpochRecord(
        epoch=number,
        warmup=number < variant.warmup_epochs,
        epoch_s=epoch_s,
        examples=steps * variant.global_batch_size,
        steps=steps,
        train_loss=1.0 / (number + 1),
        train_accuracy=None,
    )


def _estimated_epoch_s(trial: Trial) -> float:
    noise = random.Random(trial.trial_id).gauss(0.0, 0.01)
    return estimated_epoch_s(trial.variant) * (1.0 + noise)
