"""Warm up one node: request its GPUs from Ray, then train each program on them in turn.

Usage:
    node_warm_up = NodeWarmUp(node, request, {None: programs}, limits, on_event)
    warm_up_nodes([node_warm_up], head)     # ConnectionError if Ray's head does not answer

The warm-up of a node stops early if the node gets no GPU in time, or if its trainer stalls or dies.
One event reports the programs that were not warmed up; the trials that use them compile them.
"""

import contextlib
import functools
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from bench.execution.executor import Limits, OnEvent, WarmUpFailure
from bench.execution.gpus.autotuning_cache import share_autotuning_cache
from bench.execution.gpus.gpu_code_cache import set_code_cache
from bench.execution.gpus.gpu_visibility import set_visible_gpus
from bench.execution.gpus.warm_up_marks import WarmUpMarks
from bench.execution.ray_backend.blocks.placement import PlacementRequest
from bench.execution.ray_backend.cluster.head_address import is_alive
from bench.execution.ray_backend.cluster.head_liveness import call_while_head_alive
from bench.execution.ray_backend.workers.assigned_gpus import assigned_gpus
from bench.execution.scheduling.resources import ResourceRequest
from bench.measure.gpu import gpus, resolve_visible
from bench.records.trial_record import SUCCESS_STATUSES
from bench.spec.plan import Trial

_MIN_WAIT_S = 0.05
_POLL_S = 5.0
_GPU_WAIT_S = 20.0
"""How long Ray may take to assign GPUs, which were free as far as this run knows."""


@dataclass(frozen=True)
class WarmUpProgram:
    """A short trial that represents all trials that use the same kernels."""

    kernels: str
    """What the kernels depend on, as ``kernels_of`` describes it."""
    trial_json: str
    data: Any
    """A reference into Ray's object store."""


class WarmUpTrainer:
    """An actor that trains on one GPU and discards the results."""

    def __init__(self, uuid: str | None) -> None:
        # Without a UUID, use the GPU that Ray assigned.
        visible = (uuid,) if uuid else assigned_gpus()
        set_visible_gpus(visible)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        set_code_cache(os.environ)
        self._marks: WarmUpMarks | None = None
        if visible and gpus():
            card = resolve_visible(visible[0])
            self._marks = WarmUpMarks(os.environ, card.name)
            # Trials on this GPU will run the kernels that XLA chooses here.
            share_autotuning_cache([card.uuid])

    def train(self, kernels: str, trial_json: str, arrays: Any) -> str | None:
        """Train on ``arrays`` and mark the kernels as compiled; return the failure, or None."""
        from bench.measure.host import usable_cores
        from bench.training.trial import train

        trial = Trial.model_validate_json(trial_json)
        load = functools.partial(_return_data, arrays)
        record = train(trial, load=load, threads=usable_cores())
        if record.status not in SUCCESS_STATUSES:
            return f"{record.status}: {record.error}"
        if self._marks is not None:
            self._marks.add(kernels)
        return None


class NodeWarmUp:
    """The warm-up of a node, which waits for its GPUs and then for one program after another.

    ``programs`` are by the UUID of the GPU, or by None for any GPU that Ray assigns.
    """

    def __init__(
        self,
        host: str,
        request: ResourceRequest,
        programs: Mapping[str | None, Sequence[WarmUpProgram]],
        limits: Limits,
        on_event: OnEvent,
    ) -> None:
        self._host, self._limits, self._on_event = host, limits, on_event
        self._placement = PlacementRequest(request)
        self._queues = deque((uuid, deque(each)) for uuid, each in programs.items())
        self._trainer: Any = None
        self._failures: list[str] = []
        self.pending: Any = self._placement.ready
        """The reference that Ray has not resolved yet; None once all is done."""
        self._wait(min(_GPU_WAIT_S, limits.placement_timeout_s))

    @property
    def remaining_s(self) -> float:
        """Seconds until the pending answer is overdue."""
        return self._ends_at - time.monotonic()

    def advance(self) -> None:
        """Process the answer that has arrived, and start the next program."""
        if self._placement.granted:
            self._read()
        self._placement.granted = True
        self._start_next()

    def give_up(self) -> None:
        """Abandon what is overdue, and start the next program."""
        if self._placement.granted:
            self._abandon("made no progress")
        else:
            remaining = sum(len(programs) for _, programs in self._queues)
            self._failures += ["other work took its GPUs"] * remaining
            self._queues.clear()
        self._start_next()

    def close(self) -> None:
        """End the process and release the GPUs."""
        self.pending = None
        self._end_trainer()
        self._placement.close()

    def _read(self) -> None:
        try:
            failure = ray.get(self.pending)
        except RayTaskError as error:
            failure = f"{type(error.cause).__name__}: {error.cause}"
        except RayError as error:
            self._abandon(f"its process ended: {_first_line(error)}")
            return
        if failure:
            self._failures.append(_first_line(failure))

    def _abandon(self, reason: str) -> None:
        """Record a failure for the current program and for all that remain on its GPU."""
        _, remaining = self._queues[0]
        self._failures += [reason] * (1 + len(remaining))
        remaining.clear()

    def _start_next(self) -> None:
        while self._queues and not self._queues[0][1]:
            self._end_trainer()
            self._queues.popleft()
        if not self._queues:
            self.close()
            if self._failures:
                self._on_event(WarmUpFailure(self._host, len(self._failures), self._failures[0]))
            return
        uuid, programs = self._queues[0]
        if self._trainer is None:
            self._trainer = self._start(uuid)
        program = programs.popleft()
        arguments = program.kernels, program.trial_json, program.data
        self.pending = self._trainer.train.remote(*arguments)
        self._wait(min(self._limits.stall_timeout_s, self._limits.trial_timeout_s))

    def _start(self, uuid: str | None) -> Any:
        (bundle,) = self._placement.request.bundles
        actor_class: Any = ray.remote(WarmUpTrainer)
        return actor_class.options(
            num_cpus=bundle["CPU"],
            num_gpus=bundle["GPU"],
            max_restarts=0,
            scheduling_strategy=PlacementGroupSchedulingStrategy(self._placement.group, 0),
        ).remote(uuid)

    def _end_trainer(self) -> None:
        if self._trainer is not None:
            ray.kill(self._trainer, no_restart=True)
            self._trainer = None

    def _wait(self, limit_s: float) -> None:
        self._ends_at = time.monotonic() + limit_s


def warm_up_nodes(warm_ups: Sequence[NodeWarmUp], head: str) -> None:
    """Run all warm-ups to their end; ConnectionError if Ray's ``head`` does not answer."""
    running = list(warm_ups)
    try:
        while running:
            next_limit_s = min(each.remaining_s for each in running)
            pending = [each.pending for each in running]
            ready, _ = ray.wait(pending, timeout=min(_POLL_S, max(next_limit_s, _MIN_WAIT_S)))
            if not is_alive(head):
                raise ConnectionError("Ray's head does not answer")
            for each in running:
                if each.pending in ready:
                    each.advance()
                elif each.remaining_s <= 0:
                    each.give_up()
            running = [each for each in running if each.pending is not None]
    finally:
        with contextlib.suppress(ConnectionError):
            for each in running:
                call_while_head_alive(head, each.close)


def _first_line(message: object) -> str:
    return next(iter(str(message).splitlines()), type(message).__name__)


def _return_data(arrays: Any) -> Any:
    return arrays
