"""Make one record of a worker group: merge its workers' records, or say why it has none.

Usage:
    record = merge_records(workers)                   # every worker has returned its record
    record = failure_record(workers, epochs)          # a worker died, or did not complete
"""

import math
import re
from collections.abc import Mapping, Sequence

from bench.execution.ray_backend.workers.epoch_log import with_lines
from bench.execution.ray_backend.workers.worker_failure import (
    classify_failure,
    fetch_worker_logs,
)
from bench.execution.ray_backend.workers.worker_group import WorkerGroup
from bench.execution.ray_backend.workers.worker_log import WorkerLog
from bench.records.epoch_record import EpochRecord
from bench.records.measures import Measures
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import Status, TrialRecord
from bench.spec.variant import Variant

_STATUS_PRIORITY: tuple[Status, ...] = (
    "out_of_memory",
    "worker_lost",
    "unsupported",
    "failed",
    "diverged",
)
"""Of several workers' statuses, the one that explains the others comes first."""

_SILENT_WORKER = re.compile(r"stopped sending heartbeats\)?:\s*/job:worker/replica:0/task:(\d+)")
"""What the other workers log about a worker that no longer sends heartbeats."""

_SILENT_LEADER = "RPC: /tensorflow.CoordinationService/"
"""What they log if it is worker 0, which runs the service that detects lost workers."""


def merge_records(workers: WorkerGroup) -> TrialRecord:
    """Return the chief's record with the slowest worker's times and the largest memory.

    The record also has the largest share of cores that other processes took from a worker.
    """
    records = [workers.records[index] for index in sorted(workers.records)]
    chief = records[0]
    if len(records) == 1:
        return chief
    norms = [record.measures.weights_l2 for record in records]
    variant = chief.trial.variant
    exchanged = variant.communication == "full"
    if chief.status == "completed" and exchanged and not same_weights(norms, variant):
        error = (
            f"the workers ended with different weights (L2 norms {sorted(set(map(str, norms)))})"
        )
        return chief.model_copy(update={"status": "failed", "error": error})
    slowest = tuple(
        max(same, key=lambda epoch: epoch.epoch_s)
        for same in zip(*(record.epochs for record in records), strict=True)
    )
    largest = {
        name: max((getattr(record.measures, name) or 0 for record in records), default=0) or None
        for name in Measures.model_fields
        if name.startswith("peak_")
    }
    for name in ("cpu_taken_share", "cpu_throttled_s"):
        values = (getattr(record.measures, name) for record in records)
        largest[name] = max((value for value in values if value is not None), default=None)
    return chief.model_copy(
        update={
            "epochs": slowest,
            "measures": chief.measures.model_copy(update=largest),
            "warnings": tuple(dict.fromkeys(w for r in records for w in r.warnings)),
            "devices": tuple(d for worker, r in enumerate(records) for d in _devices_of(worker, r)),
        }
    )


def failure_record(workers: WorkerGroup, epochs: Sequence[EpochRecord]) -> TrialRecord:
    """Return the record of a worker group in which a worker died or did not complete.

    ``error`` names the worker whose failure explains the others', and ``log_tail`` has all their
    logs.
    """
    logs = fetch_worker_logs(workers.locations)
    epochs = _finished_epochs(epochs, logs)
    failures = _failures(workers, epochs, logs)
    # Among workers with equal statuses, ``min`` returns the one that failed first.
    index = min(failures, key=lambda i: _STATUS_PRIORITY.index(failures[i].status))
    failure = failures[index]
    record = workers.records.get(index)
    base = record or TrialRecord(trial=workers.trial, status=failure.status, epochs=epochs)
    several = workers.trial.variant.workers > 1
    location = workers.locations.get(index)
    return base.model_copy(
        update={
            "status": failure.status,
            "error": f"worker {index}: {failure.reason}" if several else failure.reason,
            "log_tail": _tails(workers, record, logs),
            "node": base.node or (location.node if location else None),
            "epochs": base.epochs or epochs,
        }
    )


def same_weights(norms: Sequence[float | None], variant: Variant) -> bool:
    """Return whether weights with these L2 norms are equal up to rounding.

    All workers apply the same sums, so that only rounding can make them differ, if their hardware
    differs: by half a unit in the last place per weight and step, which adds up like a random walk.
    Every precision except float64 holds weights in float32. In float64 the tolerance is eight times
    that, because the norm is a float64, too, and its own rounding counts.
    """
    known = [norm for norm in norms if norm is not None]
    unit = 2.0 ** (-50 if variant.precision == "float64" else -24)
    tolerance = unit * math.sqrt(variant.epochs * variant.steps_per_epoch)
    return len(known) == len(norms) and math.isclose(min(known), max(known), rel_tol=tolerance)


def slowest_workers(heartbeats: Mapping[int, int], workers: int) -> list[int]:
    """Return the workers with the fewest heartbeats, for which the others may wait.

    ``heartbeats`` counts those of each worker; a worker without any is behind all others. The list
    is empty if all have come equally far.
    """
    counts = [heartbeats.get(worker, -1) for worker in range(workers)]
    behind = [worker for worker, count in enumerate(counts) if count == min(counts)]
    return behind if len(behind) < workers else []


def terminated_record(
    workers: WorkerGroup, status: Status, reason: str, epochs: Sequence[EpochRecord]
) -> TrialRecord:
    """Return the record of a worker group that the driver itself has ended."""
    location, logs = workers.locations.get(0), fetch_worker_logs(workers.locations)
    return TrialRecord(
        trial=workers.trial,
        status=status,
        error=reason,
        log_tail=_tails(workers, None, logs),
        node=location.node if location else None,
        epochs=_finished_epochs(epochs, logs),
    )


def _finished_epochs(
    reported: Sequence[EpochRecord], logs: Mapping[int, WorkerLog]
) -> tuple[EpochRecord, ...]:
    """Return the reported epochs, and the logged epochs that were not reported in time."""
    epochs = tuple(reported)
    for index in sorted(logs):
        epochs = with_lines(epochs, logs[index].epochs)
    return epochs


def _devices_of(worker: int, record: TrialRecord) -> list[str]:
    """Return the devices of one worker; TensorFlow's list includes those of its peers."""
    task = f"/task:{worker}/"
    devices = [d for d in record.devices if task in d or "/task:" not in d]
    return [f"{record.node}/worker:{worker}/{d.rpartition('/device:')[2]}" for d in devices]


def _failures(
    workers: WorkerGroup, epochs: Sequence[EpochRecord], logs: Mapping[int, WorkerLog]
) -> dict[int, TrialFailure]:
    refusable = workers.trial.variant.may_be_refused and not epochs
    failures = {
        index: classify_failure(
            error, workers.locations.get(index), logs.get(index), refusable=refusable
        )
        for index, error in workers.errors.items()
    }
    for index, record in workers.records.items():
        silent = _silent_peer(record.log_tail or "") if record.status == "failed" else None
        if silent is not None:
            reason = "its peers stopped receiving heartbeats: it was stopped, or its network failed"
            failures.setdefault(silent, TrialFailure("worker_lost", reason))
        elif record.status != "completed":
            failures[index] = TrialFailure(record.status, record.error or record.status)
    return failures


def _silent_peer(tail: str) -> int | None:
    if match := _SILENT_WORKER.search(tail):
        return int(match.group(1))
    return 0 if _SILENT_LEADER in tail else None


def _tails(
    workers: WorkerGroup, record: TrialRecord | None, logs: Mapping[int, WorkerLog]
) -> str | None:
    tails = {index: log.log_tail for index, log in logs.items() if log.log_tail}
    for index, other in workers.records.items():
        if other.log_tail:
            tails[index] = other.log_tail
    if workers.trial.variant.workers == 1:
        return tails.get(0) or (record.log_tail if record else None)
    lines = [f"[worker {index}] {tail}" for index, tail in sorted(tails.items())]
    return "\n".join(lines) or None
