"""The warm-up of one node: its GPUs asked of Ray, then each program trained on them in turn.

Usage:
    warming = NodeWarmUp(node, reservation, {None: programs}, limits, on_event)
    warm_up_nodes([warming], head)            # ConnectionError once Ray's head is silent

A node that gets no GPU in time, or whose trainer stalls or dies, is given up: what it lacks is told
by one event, and compiled by the trials that use it.
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

from bench.execution.executor import Limits, NotWarmedUp, OnEvent
from bench.execution.gpus.autotuning_cache import share_autotuning_cache
from bench.execution.gpus.gpu_code_cache import set_code_cache
from bench.execution.gpus.gpu_visibility import assigned_gpus, set_visible_gpus
from bench.execution.gpus.warm_up_marks import WarmUpMarks
from bench.execution.ray_backend.head_address import is_alive
from bench.execution.ray_backend.head_liveness import call_while_head_alive
from bench.execution.ray_backend.placement import PlacementRequest
from bench.execution.scheduling.resources import ResourceRequest
from bench.measure.gpu import gpus, resolve_visible
from bench.records.trial_record import SUCCESS_STATUSES
from bench.spec.plan import Trial

_LEAST_S = 0.05
_POLL_S = 5.0
_PATIENCE_S = 20.0
"""How long GPUs may take to come; as far as this run knows, they were free."""


@dataclass(frozen=True)
class WarmUpProgram:
    """A short trial that stands for all that use the same kernels."""

    kernels: str
    """What they depend on, as marks name it."""
    trial_json: str
    data: Any
    """A reference into Ray's object store."""


class WarmUpTrainer:
    """A process that trains on one GPU, of which nothing is kept."""

    def __init__(self, uuid: str | None) -> None:
        # Without a name it is the GPU that Ray gave.
        visible = (uuid,) if uuid else assigned_gpus()
        set_visible_gpus(visible)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        set_code_cache(os.environ)
        self._marks: WarmUpMarks | None = None
        if visible and gpus():
            card = resolve_visible(visible[0])
            self._marks = WarmUpMarks(os.environ, card.name)
            # The kernels that XLA chooses here are those that trials on this GPU will run.
            share_autotuning_cache([card.uuid])

    def train(self, kernels: str, trial_json: str, arrays: Any) -> str | None:
        """Train on ``arrays``, and mark it; what went wrong, None where the program ran."""
        from bench.measure.host import usable_cores
        from bench.training.trial import train

        trial = Trial.model_validate_json(trial_json)
        load = functools.partial(_given, arrays)
        record = train(trial, load=load, threads=usable_cores())
        if record.status not in SUCCESS_STATUSES:
            return f"{record.status}: {record.error}"
        if self._marks is not None:
            self._marks.add(kernels)
        return None


class NodeWarmUp:
    """A node that is warmed up: waits for its GPUs, then for one program after another.

    ``programs`` are those of each GPU by its UUID, or by None for whichever GPU Ray gives.
    """

    def __init__(
        self,
        host: str,
        reservation: ResourceRequest,
        programs: Mapping[str | None, Sequence[WarmUpProgram]],
        limits: Limits,
        on_event: OnEvent,
    ) -> None:
        self._host, self._limits, self._on_event = host, limits, on_event
        self._claim = PlacementRequest(reservation)
        self._cards = deque((uuid, deque(given)) for uuid, given in programs.items())
        self._trainer: Any = None
        self._failures: list[str] = []
        self.pending: Any = self._claim.ready
        """What Ray has still to answer; None once all is done."""
        self._wait(min(_PATIENCE_S, limits.placement_timeout_s))

    @property
    def left_s(self) -> float:
        """Until what is waited for is over its limit."""
        return self._ends_at - time.monotonic()

    def advance(self) -> None:
        """Take the answer that has come, and go on."""
        if self._claim.granted:
            self._read()
        self._claim.granted = True
        self._go_on()

    def give_up(self) -> None:
        """End what is over its limit."""
        if self._claim.granted:
            self._abandon("made no progress")
        else:
            left = sum(len(programs) for _, programs in self._cards)
            self._failures += ["others took its GPUs meanwhile"] * left
            self._cards.clear()
        self._go_on()

    def close(self) -> None:
        """End the process, and give the GPUs back."""
        self.pending = None
        self._end_trainer()
        self._claim.close()

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
        """Fail the program that runs and all that are left on its GPU."""
        _, left = self._cards[0]
        self._failures += [reason] * (1 + len(left))
        left.clear()

    def _go_on(self) -> None:
        while self._cards and not self._cards[0][1]:
            self._end_trainer()
            self._cards.popleft()
        if not self._cards:
            self.close()
            if self._failures:
                self._on_event(NotWarmedUp(self._host, len(self._failures), self._failures[0]))
            return
        uuid, programs = self._cards[0]
        if self._trainer is None:
            self._trainer = self._start(uuid)
        program = programs.popleft()
        asked = program.kernels, program.trial_json, program.data
        self.pending = self._trainer.train.remote(*asked)
        self._wait(min(self._limits.stall_timeout_s, self._limits.trial_timeout_s))

    def _start(self, uuid: str | None) -> Any:
        (bundle,) = self._claim.request.bundles
        actor_class: Any = ray.remote(WarmUpTrainer)
        return actor_class.options(
            num_cpus=bundle["CPU"],
            num_gpus=bundle["GPU"],
            max_restarts=0,
            scheduling_strategy=PlacementGroupSchedulingStrategy(self._claim.group, 0),
        ).remote(uuid)

    def _end_trainer(self) -> None:
        if self._trainer is not None:
            ray.kill(self._trainer, no_restart=True)
            self._trainer = None

    def _wait(self, limit_s: float) -> None:
        self._ends_at = time.monotonic() + limit_s


def warm_up_nodes(warmings: Sequence[NodeWarmUp], head: str) -> None:
    """Until each is done or given up; ConnectionError once Ray's ``head`` is silent."""
    running = list(warmings)
    try:
        while running:
            next_limit_s = min(each.left_s for each in running)
            pending = [each.pending for each in running]
            ready, _ = ray.wait(pending, timeout=min(_POLL_S, max(next_limit_s, _LEAST_S)))
            if not is_alive(head):
                raise ConnectionError("Ray's head does not answer")
            for each in running:
                if each.pending in ready:
                    each.advance()
                elif each.left_s <= 0:
                    each.give_up()
            running = [each for each in running if each.pending is not None]
    finally:
        with contextlib.suppress(ConnectionError):
            for each in running:
                call_while_head_alive(head, each.close)


def _first_line(said: object) -> str:
    return next(iter(str(said).splitlines()), type(said).__name__)


def _given(arrays: Any) -> Any:
    return arrays
