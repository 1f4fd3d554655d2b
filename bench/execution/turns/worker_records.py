"""Make one record of the workers of a trial: merge theirs, or say why the trial has no result.

Usage:
    record = merge_records(records)       # every worker has completed
    record = failure_record(...)          # a worker died, or did not complete
"""

import math
import re
from collections.abc import Mapping, Sequence

from bench.records.epoch_record import EpochRecord
from bench.records.measures import Measures
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Trial
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


def merge_records(by_worker: Mapping[int, TrialRecord]) -> TrialRecord:
    """Return the chief's record with the slowest worker's times and the largest memory.

    The record also has the largest share of cores that other processes took from a worker.
    """
    records = [by_worker[worker] for worker in sorted(by_worker)]
    chief = records[0]
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


def failure_record(
    trial: Trial,
    records: Mapping[int, TrialRecord],
    failures: Mapping[int, TrialFailure],
    epochs: Sequence[EpochRecord],
    nodes: Mapping[int, str],
) -> TrialRecord:
    """Return the record of a trial of which a worker died or did not complete.

    ``records`` and ``failures`` have the workers that sent a record and those that died, in the
    order of their ends; ``nodes`` has the node of each worker. ``error`` names the worker whose
    failure explains the others'.
    """
    every = {**failures, **_failures_of(records, failures)}
    # Among workers with equal statuses, ``min`` returns the one that failed first.
    worker = min(every, key=lambda index: _STATUS_PRIORITY.index(every[index].status))
    status, reason = every[worker]
    base = records.get(worker) or TrialRecord(trial=trial, status=status)
    return base.model_copy(
        update={
            "status": status,
            "error": f"worker {worker}: {reason}",
            "node": nodes.get(worker),
            "epochs": base.epochs or tuple(epochs),
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


def join_tails(tails: Mapping[int, str | None]) -> str | None:
    """Return the ends of the workers' logs as one text that names each worker."""
    lines = [f"[worker {worker}] {tail}" for worker, tail in sorted(tails.items()) if tail]
    return "\n".join(lines) or None


def _devices_of(worker: int, record: TrialRecord) -> list[str]:
    """Return the devices of one worker; TensorFlow's list includes those of its peers."""
    task = f"/task:{worker}/"
    devices = [d for d in record.devices if task in d or "/task:" not in d]
    return [f"{record.node}/worker:{worker}/{d.rpartition('/device:')[2]}" for d in devices]


def _failures_of(
    records: Mapping[int, TrialRecord], known: Mapping[int, TrialFailure]
) -> dict[int, TrialFailure]:
    """Return the failures that records tell of, beside those that are ``known``."""
    failures: dict[int, TrialFailure] = {}
    for worker, record in records.items():
        silent = _silent_peer(record.log_tail or "") if record.status == "failed" else None
        if silent is None and record.status != "completed":
            failures[worker] = TrialFailure(record.status, record.error or record.status)
        elif silent is not None and silent not in known:
            reason = "its peers stopped receiving heartbeats: it was stopped, or its network failed"
            failures.setdefault(silent, TrialFailure("worker_lost", reason))
    return failures


def _silent_peer(tail: str) -> int | None:
    if match := _SILENT_WORKER.search(tail):
        return int(match.group(1))
    return 0 if _SILENT_LEADER in tail else None
