"""The warm-up of a node never holds up a run: what stalls, dies or gets no device is given up."""

import dataclasses
import time

import pytest
import ray

from bench.datasets.load import load_arrays
from bench.execution.executor import Event, Limits, WarmUpFailure
from bench.execution.ray_backend.gpus import node_warm_up
from bench.execution.ray_backend.gpus.node_warm_up import NodeWarmUp, WarmUpProgram, warm_up_nodes
from bench.execution.ray_backend.gpus.warm_up import programs
from bench.execution.ray_backend.ray_executor import RayExecutor
from bench.execution.scheduling.resources import ResourceRequest
from bench.spec.plan import make_plan
from tests.support.sample_suites import SINGLE, suite_of

TRIAL = programs(make_plan(suite_of(SINGLE)).trials)[0]
LIMITS = Limits(trial_timeout_s=300.0)
BROKEN = "not a trial"


def warmed(
    executor: RayExecutor, *trials: str, cores: float = 1.0, limits: Limits = LIMITS, head: str = ""
) -> list[Event]:
    """What is told as this machine is warmed up, on a core and no GPU."""
    told: list[Event] = []
    data = ray.put(load_arrays(TRIAL.variant))
    node = ray.get_runtime_context().get_node_id()
    reservation = ResourceRequest(({"CPU": cores, "GPU": 0.0},), "PACK", (node,))
    asked = [WarmUpProgram("kernels", trial, data) for trial in trials]
    each = NodeWarmUp("here", reservation, {None: asked}, limits, told.append)
    warm_up_nodes([each], head or executor.head)
    assert each.pending is None
    return told


@pytest.mark.slow
def test_a_failing_program_is_reported_and_the_others_are_trained(
    ray_executor: RayExecutor,
) -> None:
    (event,) = warmed(ray_executor, BROKEN, TRIAL.model_dump_json())
    assert isinstance(event, WarmUpFailure)
    assert (event.node, event.programs) == ("here", 1)


@pytest.mark.slow
def test_programs_that_were_trained_are_not_reported(ray_executor: RayExecutor) -> None:
    assert warmed(ray_executor, TRIAL.model_dump_json()) == []


def test_the_warm_up_of_a_node_whose_gpus_are_taken_is_abandoned(
    ray_executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_warm_up, "_GPU_WAIT_S", 0.5)
    (event,) = warmed(ray_executor, TRIAL.model_dump_json(), BROKEN, cores=10_000.0)
    assert isinstance(event, WarmUpFailure)
    assert event.programs == 2


def test_a_program_that_makes_no_progress_ends_the_warm_up_of_its_gpu(
    ray_executor: RayExecutor,
) -> None:
    # Shorter than it takes to import TensorFlow.
    stalled = dataclasses.replace(LIMITS, stall_timeout_s=0.01)
    began = time.monotonic()
    (event,) = warmed(ray_executor, *[TRIAL.model_dump_json()] * 3, limits=stalled)
    assert isinstance(event, WarmUpFailure)
    assert event.programs == 3
    assert time.monotonic() - began < LIMITS.trial_timeout_s


def test_the_warm_up_ends_without_ray_s_head(ray_executor: RayExecutor) -> None:
    with pytest.raises(ConnectionError):
        warmed(ray_executor, TRIAL.model_dump_json(), head="127.0.0.1:1")
