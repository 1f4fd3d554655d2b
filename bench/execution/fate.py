"""What became of a trial whose process did not live to say it.

Usage:
    status, reason = fate_of(error)                 # what Ray raised
    record = record_of_the_dead(trial, status, reason, place, epochs)
"""

from collections.abc import Sequence

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.execution.worker import Place, log_tail
from bench.records.record import EpochRecord, Status, TrialRecord
from bench.spec.plan import Trial

_TAIL_TIMEOUT_S = 10.0
_SIGNS_OF_MEMORY = ("bad_alloc", "Out of memory", "ResourceExhausted", "RESOURCE_EXHAUSTED")


def fate_of(error: Exception) -> tuple[Status, str]:
    """The status that what Ray raised stands for, and the reason in one line."""
    reason = _one_line(str(error))
    if isinstance(error, OutOfMemoryError) or "OOM" in reason:
        return "out_of_memory", reason
    if isinstance(error, RayTaskError):
        return "failed", _one_line(str(error.cause or error))
    if isinstance(error, RayActorError):
        return "worker_lost", reason
    return "failed", f"{type(error).__name__}: {reason}"


def record_of_the_dead(
    trial: Trial,
    status: Status,
    reason: str,
    place: Place | None,
    epochs: Sequence[EpochRecord],
) -> TrialRecord:
    """The record of a trial from outside: its epochs so far and its log's last lines."""
    tail = _tail(place) if place else None
    if status == "worker_lost" and tail and any(sign in tail for sign in _SIGNS_OF_MEMORY):
        status = "out_of_memory"
    return TrialRecord(
        trial=trial,
        status=status,
        error=reason,
        log_tail=tail,
        node=place.node if place else None,
        devices=tuple(f"GPU:{gpu}" for gpu in place.gpus) if place else (),
        epochs=tuple(epochs),
    )


def _tail(place: Place) -> str | None:
    """The log's end, fetched from the node where it lies; None where the node is gone too."""
    near = NodeAffinitySchedulingStrategy(place.node_id, soft=False)
    fetch = ray.remote(log_tail).options(num_cpus=0, scheduling_strategy=near)
    try:
        return ray.get(fetch.remote(place.log), timeout=_TAIL_TIMEOUT_S)
    except ray.exceptions.RayError:
        return None


def _one_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines)[:500]
