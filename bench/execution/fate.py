"""What became of a trial whose process did not live to say it.

Usage:
    record = record_of_the_dead(trial, error, place, epochs)       # what Ray raised
    record = record_of_the_ended(trial, status, reason, place, epochs)
"""

from collections.abc import Sequence

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.execution.worker import Place, Remains, remains
from bench.records.record import EpochRecord, Status, TrialRecord
from bench.spec.plan import Trial

_FETCH_S = 10.0
_RAY_SAYS_MEMORY = ("NODE_OUT_OF_MEMORY", "low on memory")
_LOG_SAYS_MEMORY = ("bad_alloc", "Out of memory", "ResourceExhausted", "RESOURCE_EXHAUSTED")
_MAX_REASON = 500


def record_of_the_dead(
    trial: Trial, error: Exception, place: Place | None, epochs: Sequence[EpochRecord]
) -> TrialRecord:
    """The record of a trial in whose place Ray raised ``error``."""
    left = _fetch(place)
    status, reason = _fate_of(error, place, left)
    return _record(trial, status, reason, place, epochs, left)


def record_of_the_ended(
    trial: Trial,
    status: Status,
    reason: str,
    place: Place | None,
    epochs: Sequence[EpochRecord],
) -> TrialRecord:
    """The record of a trial that the driver itself has ended."""
    return _record(trial, status, reason, place, epochs, _fetch(place))


def _fate_of(error: Exception, place: Place | None, left: Remains) -> tuple[Status, str]:
    text = str(error)
    if isinstance(error, OutOfMemoryError) or any(sign in text for sign in _RAY_SAYS_MEMORY):
        return "out_of_memory", "Ray ended its process since the node ran low on memory"
    if isinstance(error, RayTaskError):
        return "failed", _one_line(str(error.cause or error))
    if not isinstance(error, RayActorError):
        return "failed", _one_line(f"{type(error).__name__}: {text}")
    if place and _counted_more(place.oom_kills, left.oom_kills):
        return "out_of_memory", "the kernel ended its process at the memory limit of its group"
    if left.log_tail and any(sign in left.log_tail for sign in _LOG_SAYS_MEMORY):
        return "out_of_memory", "its process died for want of memory, as its log says"
    who = f" (pid {place.pid} on {place.node})" if place else ""
    return "worker_lost", f"its process{who} died: killed from outside, crashed, or its node lost"


def _counted_more(before: int | None, after: int | None) -> bool:
    return before is not None and after is not None and after > before


def _record(
    trial: Trial,
    status: Status,
    reason: str,
    place: Place | None,
    epochs: Sequence[EpochRecord],
    left: Remains,
) -> TrialRecord:
    return TrialRecord(
        trial=trial,
        status=status,
        error=reason,
        log_tail=left.log_tail,
        node=place.node if place else None,
        devices=tuple(f"GPU:{gpu}" for gpu in place.gpus) if place else (),
        epochs=tuple(epochs),
    )


def _fetch(place: Place | None) -> Remains:
    """What the process left on its node; nothing where the node is gone too."""
    if place is None:
        return Remains(None, None)
    near = NodeAffinitySchedulingStrategy(place.node_id, soft=False)
    task = ray.remote(remains).options(num_cpus=0, scheduling_strategy=near)
    try:
        found: Remains = ray.get(task.remote(place.log), timeout=_FETCH_S)
    except RayError:
        return Remains(None, None)
    return found


def _one_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines)[:_MAX_REASON]
