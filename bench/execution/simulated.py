"""Simulate trials: make records from a model of their time, on a virtual clock.

Usage:
    with SimulatedExecutor(devices=8) as executor: ...
    with SimulatedExecutor(devices=[8, 8, 4]) as executor: ...      # of each node
    executor.makespan_s

For tests of everything around a trial, and for planning: blocks are scheduled as on a cluster with
these devices. The records say in ``node`` and ``resolved`` that they are simulated, and hold no
accuracy. The arms of a block take turns in their records, though each ends before the next begins.
"""

import dataclasses
import heapq
import itertools
import math
import random
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple, Self

from bench.execution.estimation.estimator import START_S, estimated_epoch_s, estimated_trial_s
from bench.execution.executor import EpochEnd, Limits, OnEvent, TrialStart
from bench.execution.oom_skip import skipped_record
from bench.execution.scheduling.cluster import Cluster
from bench.execution.scheduling.queue import job_of
from bench.execution.scheduling.resources import ResourceRequest, is_spread
from bench.execution.scheduling.scheduler import Scheduler
from bench.execution.turns.schedule import block_mode, rounds_in_epoch
from bench.records.epoch_record import EpochRecord
from bench.records.measures import Measures
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Block, Trial
from bench.spec.turn_settings import SequenceReason
from bench.spec.variant import Variant

StatusChooser = Callable[[Trial, int], Status]
"""Chooses the status of an attempt (counted from 1) at a trial."""


_NODE = "simulated"
_WINDOWS = 8
"""The most windows of an epoch."""


class _Turns(NamedTuple):
    """How trials take turns."""

    rounds: int
    """The rounds of an epoch; 0 if they take none."""
    reason: SequenceReason | None
    """Why they take none."""


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
                trials = blocks[job.key].trials
                mode, _ = block_mode(limits.turns, [each.variant.pipeline for each in trials])
                of_block = dataclasses.replace(limits, turns=mode)
                rounds = self._rounds(trials, of_block)
                reason: SequenceReason = "asked" if mode == "trial" else "alone"
                first = _Turns(rounds, None if rounds else reason)
                for trial in trials:
                    for record in self._attempts(trial, of_block, on_event, first):
                        ends_at += record.wall_s or 0.0
                        used = _devices_of_trial(trial.variant, request, devices)
                        yield record.model_copy(update={"devices": used})
                heapq.heappush(running, (ends_at, job.key, devices))
            now, number, devices = heapq.heappop(running)
            for device in devices:
                free[device.rpartition("-")[0]].append(device)
            scheduler.finish(number)
        self.makespan_s = now

    def _rounds(self, trials: Sequence[Trial], limits: Limits) -> int:
        """Return the rounds of an epoch in which the arms take turns; 0 if they take none."""
        if len(trials) == 1 or limits.turns == "trial":
            return 0
        windows = [len(_windows(trial.variant)) for trial in trials]
        epoch_s = [self._epoch_s(trial) for trial in trials]
        return rounds_in_epoch(limits.turns, windows, epoch_s, limits.turn_s)

    def _attempts(
        self, trial: Trial, limits: Limits, on_event: OnEvent, first: _Turns
    ) -> Iterator[TrialRecord]:
        """Yield the record of each attempt; only the ``first`` one takes turns with other arms."""
        if reason := limits.skip_reason(trial):
            yield skipped_record(trial, reason)
            return
        for attempt in range(1, limits.retries + 2):
            status = self._status_of(trial, attempt)
            turns = first if attempt == 1 else _Turns(0, "retried")
            record = self._record(trial, status, limits, turns)
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

    def _record(self, trial: Trial, status: Status, limits: Limits, turns: _Turns) -> TrialRecord:
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
            resolved={
                "simulated": True,
                "turns": limits.turns if turns.rounds else "trial",
                **({"turns_reason": turns.reason} if turns.reason else {}),
                "window_steps": _windows(trial.variant)[0],
            },
            measures=Measures(cold_start_s=START_S / 3, import_s=START_S / 3),
            epochs=tuple(_epoch(trial, i, epoch_s, turns.rounds) for i in range(trained)),
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


def _windows(variant: Variant) -> tuple[int, ...]:
    """Return the steps of each window of an epoch."""
    steps = variant.whole_epoch_steps
    size = math.ceil(steps / _WINDOWS)
    return tuple(min(size, steps - first) for first in range(0, steps, size))


def _epoch(trial: Trial, number: int, epoch_s: float, rounds: int) -> EpochRecord:
    """Return an epoch whose windows ran in as many rounds; in none if that is 0."""
    variant = trial.variant
    steps, windows = variant.whole_epoch_steps, _windows(variant)
    starts = itertools.accumulate(windows[:-1], initial=0)
    in_rounds = tuple(number * rounds + start * rounds // steps for start in starts)
    return EpochRecord(
        epoch=number,
        warmup=number < variant.warmup_epochs,
        epoch_s=epoch_s,
        examples=steps * variant.global_batch_size,
        steps=steps,
        window_s=tuple(epoch_s * size / steps for size in windows),
        window_round=in_rounds if rounds else None,
        train_loss=1.0 / (number + 1),
        train_accuracy=None,
    )


def _estimated_epoch_s(trial: Trial) -> float:
    noise = random.Random(trial.trial_id).gauss(0.0, 0.01)
    return estimated_epoch_s(trial.variant) * (1.0 + noise)
