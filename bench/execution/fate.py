"""What became of a worker whose process did not live to say it.

Usage:
    fate = fate_of(error, place, begun=False)     # what Ray raised in its place
    tails = log_tails(places)                     # the ends of the logs, by worker
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.execution.worker import Place, Remains, remains
from bench.records.record import Status

_FETCH_S = 10.0
_RAY_SAYS_MEMORY = ("NODE_OUT_OF_MEMORY", "low on memory")
_LOG_SAYS_MEMORY = ("bad_alloc", "Out of memory", "ResourceExhausted", "RESOURCE_EXHAUSTED")
_TENSORFLOW_ABORTS = re.compile(r"^F\d{4} .*|.*\] Check failed: .*|^F0000 .*", re.MULTILINE)
_MAX_REASON = 500


class Fate(NamedTuple):
    """How a worker ended, and why, in one line."""

    status: Status
    reason: str


def fate_of(error: Exception, place: Place | None, *, refusable: bool) -> Fate:
    """What ``error``, raised by Ray in a worker's place, stands for.

    ``refusable``: whether TensorFlow may refuse the trial's program, and has finished no epoch
    of it. A process that TensorFlow itself aborts was then given what it cannot run.
    """
    text = str(error)
    if isinstance(error, OutOfMemoryError) or any(sign in text for sign in _RAY_SAYS_MEMORY):
        return Fate("out_of_memory", "Ray ended its process since the node ran low on memory")
    if isinstance(error, RayTaskError):
        return Fate("failed", _one_line(str(error.cause or error)))
    if not isinstance(error, RayActorError):
        return Fate("failed", _one_line(f"{type(error).__name__}: {text}"))
    left = fetch_remains(place)
    if place and _counted_more(place.oom_kills, left.oom_kills):
        reason = "the kernel ended its process at the memory limit of its group"
        return Fate("out_of_memory", reason)
    tail = left.log_tail or ""
    if any(sign in tail for sign in _LOG_SAYS_MEMORY):
        return Fate("out_of_memory", "its process died for want of memory, as its log says")
    aborted = _TENSORFLOW_ABORTS.search(tail) if refusable else None
    if aborted:
        return Fate("unsupported", _one_line(f"TensorFlow aborted: {aborted.group()}"))
    who = f" (pid {place.pid} on {place.node})" if place else ""
    return Fate(
        "worker_lost", f"its process{who} died: killed from outside, crashed, or its node lost"
    )


def log_tails(places: Mapping[int, Place]) -> dict[int, str]:
    """The end of each worker's log, taken from its node; none where the node is gone too."""
    found = {i: fetch_remains(place, forget=True).log_tail for i, place in places.items()}
    return {index: tail for index, tail in found.items() if tail}


def fetch_remains(place: Place | None, *, forget: bool = False) -> Remains:
    """What a process left on its node; nothing where the node is gone too."""
    if place is None:
        return Remains(None, None)
    near = NodeAffinitySchedulingStrategy(place.node_id, soft=False)
    task: Any = ray.remote(remains)
    asked = task.options(num_cpus=0, scheduling_strategy=near, max_retries=0)
    try:
        found: Remains = ray.get(asked.remote(place.log, forget), timeout=_FETCH_S)
    except RayError:
        return Remains(None, None)
    return found


def _counted_more(before: int | None, after: int | None) -> bool:
    return before is not None and after is not None and after > before


def _one_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines)[:_MAX_REASON]
