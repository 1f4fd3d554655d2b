"""What the first holder makes of the end of another one."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import OutOfMemoryError

from bench.execution.ray_backend.ray_executor import RayExecutor
from bench.execution.ray_backend.workers.holder_place import HolderPlace
from bench.execution.ray_backend.workers.remote_workers import RemoteHolder, RemoteWorkers
from bench.execution.ray_backend.workers.worker_location import WorkerLocation
from bench.records.trial_failure import TrialFailure


def killed_for_memory() -> None:
    raise OutOfMemoryError("the node is low on memory")


def holder_of(*trial_ids: str, call: Callable[[], Any]) -> RemoteHolder:
    """A holder of a worker of each trial, which answers every call with a task."""
    node_id = ray.get_runtime_context().get_node_id()
    location = WorkerLocation("here", node_id, 4711, "127.0.0.1", None, "/no/log", None)
    task: Any = ray.remote(call).options(num_cpus=0, max_retries=0)
    actor = SimpleNamespace(call_part=SimpleNamespace(remote=lambda *_: task.remote()))
    logs = {(trial_id, 1): "/no/log" for trial_id in trial_ids}
    return RemoteHolder(actor, HolderPlace(location, logs, {}, None))


@pytest.mark.parametrize(
    ("trial_ids", "status"), [(["a"], "out_of_memory"), (["a", "b"], "worker_lost")]
)
def test_memory_that_several_trials_share_condemns_none_of_them(
    ray_executor: RayExecutor, trial_ids: list[str], status: str
) -> None:
    del ray_executor
    holder = holder_of(*trial_ids, call=killed_for_memory)
    (failure,) = RemoteWorkers(holder, "a").complete().values()
    assert failure.status == status
    assert isinstance(failure, TrialFailure)
    assert "memory" in failure.reason


def test_processes_that_do_not_end_on_another_node_are_named(ray_executor: RayExecutor) -> None:
    del ray_executor
    holder = holder_of("a", call=lambda: ["process 1 still runs"])
    assert RemoteWorkers(holder, "a").kill() == ["process 1 still runs"]
    assert holder.failure is None
