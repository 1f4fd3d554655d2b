"""Classify why the process of a holder died.

Usage:
    logs = take_worker_logs(locations)         # from their nodes
    failure = classify_failure(error, locations[0], logs.get(locations[0]))
"""

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.execution.ray_backend.workers.worker_location import WorkerLocation
from bench.execution.ray_backend.workers.worker_log import WorkerLog, take_worker_log
from bench.execution.trial_processes.abort_reason import abort_reason, one_line
from bench.records.trial_failure import TrialFailure

_FETCH_S = 10.0
_MEMORY_IN_ERROR = ("NODE_OUT_OF_MEMORY", "low on memory")


def classify_failure(
    error: Exception, location: WorkerLocation | None, log: WorkerLog | None
) -> TrialFailure:
    """Return the failure that made Ray raise ``error`` instead of a holder's answer.

    ``log`` is what the holder, or the trial that ended with it, left on its node.
    """
    text = str(error)
    if isinstance(error, OutOfMemoryError) or any(sign in text for sign in _MEMORY_IN_ERROR):
        return TrialFailure(
            "out_of_memory", "Ray killed its process because the node ran low on memory"
        )
    if isinstance(error, RayTaskError):
        return TrialFailure("failed", one_line(str(error.cause or error)))
    if not isinstance(error, RayActorError):
        return TrialFailure("failed", one_line(f"{type(error).__name__}: {text}"))
    log = log or WorkerLog(None, None)
    if location and _has_increased(location.oom_kills, log.oom_kills):
        reason = "the kernel killed its process at the memory limit of its control group"
        return TrialFailure("out_of_memory", reason)
    tail = log.log_tail or ""
    if failure := abort_reason(tail, refusable=False):
        return TrialFailure(*failure)
    who = f" (pid {location.pid} on {location.node})" if location else ""
    return TrialFailure(
        "worker_lost", f"its process{who} died: it was killed or crashed, or its node was lost"
    )


def take_worker_logs(locations: Iterable[WorkerLocation]) -> dict[WorkerLocation, WorkerLog]:
    """Return what each worker left on its node, and delete it there; asks all nodes at once.

    Workers whose node is lost or does not answer within ten seconds are missing in the result.
    """
    by_node: dict[str, list[WorkerLocation]] = {}
    for location in dict.fromkeys(locations):
        by_node.setdefault(location.node_id, []).append(location)
    if not by_node:
        return {}
    references = {_take_on_node(node_id, there): there for node_id, there in by_node.items()}
    ready, _ = ray.wait(list(references), num_returns=len(references), timeout=_FETCH_S)
    logs: dict[WorkerLocation, WorkerLog] = {}
    for reference in ready:
        with contextlib.suppress(RayError):
            logs.update(zip(references[reference], ray.get(reference), strict=True))
    return logs


def _take_on_node(node_id: str, locations: Sequence[WorkerLocation]) -> Any:
    """Start one task for all logs of a node: a task may need a new process there."""
    on_node = NodeAffinitySchedulingStrategy(node_id, soft=False)
    task: Any = ray.remote(_take_logs)
    options = {"num_cpus": 0, "scheduling_strategy": on_node, "max_retries": 0}
    return task.options(**options).remote([location.log for location in locations])


def _take_logs(logs: Sequence[str]) -> list[WorkerLog]:
    return [take_worker_log(log) for log in logs]


def _has_increased(before: int | None, after: int | None) -> bool:
    return before is not None and after is not None and after > before
