"""What became of a worker whose process did not live to say it.

Usage:
    left = fetch_worker_logs(places)                             # by worker, from their nodes
    fate = classify_failure(error, place, left.get(0), refusable=False)  # what Ray raised
"""

import contextlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.execution.ray_backend.worker import WorkerLocation
from bench.execution.ray_backend.worker_log import WorkerLog, read_worker_log
from bench.execution.trial_environment.xla_flags import refused_flags
from bench.records.trial_record import Status

_FETCH_S = 10.0
_RAY_SAYS_MEMORY = ("NODE_OUT_OF_MEMORY", "low on memory")
_LOG_SAYS_MEMORY = ("bad_alloc", "Out of memory", "ResourceExhausted", "RESOURCE_EXHAUSTED")
_TENSORFLOW_ABORTS = re.compile(r"^F\d{4} .*|.*\] Check failed: .*|^F0000 .*", re.MULTILINE)
_OF_MACHINES = re.compile(r"cuda|cudnn|nccl|coordination|grpc|heartbeat", re.IGNORECASE)
"""An abort over these is a fault of a device or a connection, not a program that is refused."""
_MAX_REASON = 500


class WorkerFailure(NamedTuple):
    """How a worker ended, and why, in one line."""

    status: Status
    reason: str


def classify_failure(
    error: Exception, place: WorkerLocation | None, left: WorkerLog | None, *, refusable: bool
) -> WorkerFailure:
    """What ``error``, raised by Ray in a worker's place, stands for, with what the worker left.

    ``refusable``: whether TensorFlow may refuse the trial's program, and has finished no epoch
    of it. A process that TensorFlow itself aborts was then given what it cannot run.
    """
    text = str(error)
    if isinstance(error, OutOfMemoryError) or any(sign in text for sign in _RAY_SAYS_MEMORY):
        return WorkerFailure(
            "out_of_memory", "Ray ended its process since the node ran low on memory"
        )
    if isinstance(error, RayTaskError):
        return WorkerFailure("failed", _one_line(str(error.cause or error)))
    if not isinstance(error, RayActorError):
        return WorkerFailure("failed", _one_line(f"{type(error).__name__}: {text}"))
    left = left or WorkerLog(None, None)
    if place and _counted_more(place.oom_kills, left.oom_kills):
        reason = "the kernel ended its process at the memory limit of its group"
        return WorkerFailure("out_of_memory", reason)
    tail = left.log_tail or ""
    if flags := refused_flags(tail):
        return WorkerFailure("failed", _one_line(flags))
    if any(sign in tail for sign in _LOG_SAYS_MEMORY):
        return WorkerFailure(
            "out_of_memory", "its process died for want of memory, as its log says"
        )
    aborted = _TENSORFLOW_ABORTS.search(tail) if refusable else None
    if aborted and not _OF_MACHINES.search(aborted.group()):
        return WorkerFailure("unsupported", _one_line(f"TensorFlow aborted: {aborted.group()}"))
    who = f" (pid {place.pid} on {place.node})" if place else ""
    return WorkerFailure(
        "worker_lost", f"its process{who} died: killed from outside, crashed, or its node lost"
    )


def fetch_worker_logs(places: Mapping[int, WorkerLocation]) -> dict[int, WorkerLog]:
    """What each worker left on its node, where its log is then deleted; all asked at once.

    Nothing of those whose node is gone, or does not answer within ten seconds.
    """
    if not places:
        return {}
    asked = {index: _ask(place) for index, place in places.items()}
    ready, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=_FETCH_S)
    found = {}
    for index, answer in asked.items():
        if answer in ready:
            with contextlib.suppress(RayError):
                found[index] = ray.get(answer)
    return found


def _ask(place: WorkerLocation) -> Any:
    near = NodeAffinitySchedulingStrategy(place.node_id, soft=False)
    task: Any = ray.remote(read_worker_log)
    asked = task.options(num_cpus=0, scheduling_strategy=near, max_retries=0)
    return asked.remote(place.log)


def _counted_more(before: int | None, after: int | None) -> bool:
    return before is not None and after is not None and after > before


def _one_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines)[:_MAX_REASON]
