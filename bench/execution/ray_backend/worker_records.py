"""One record for a gang: what its workers say put together, or why it has none.

Usage:
    record = merge_records(gang)                      # every worker has given its record
    record = failure_record(gang, epochs)            # a worker died, or did not complete
"""

import math
import re
from collections.abc import Mapping, Sequence

from bench.execution.ray_backend.epoch_log import with_lines
from bench.execution.ray_backend.worker_failure import (
    WorkerFailure,
    classify_failure,
    fetch_worker_logs,
)
from bench.execution.ray_backend.worker_group import WorkerGroup
from bench.execution.ray_backend.worker_log import WorkerLog
from bench.records.epoch_record import EpochRecord
from bench.records.measures import Measures
from bench.records.trial_record import Status, TrialRecord
from bench.spec.variant import Variant

_MOST_TELLING: tuple[Status, ...] = (
    "out_of_memory",
    "worker_lost",
    "unsupported",
    "failed",
    "diverged",
)
"""Of several workers' statuses, the one that explains the others stands first."""

_SILENT = re.compile(r"stopped sending heartbeats\)?:\s*/job:worker/replica:0/task:(\d+)")
"""What the others say of a worker that TensorFlow hears nothing of any more."""

_LEADER_SILENT = "RPC: /tensorflow.CoordinationService/"
"""What they say where it is worker 0, which is asked who else is alive."""


def merge_records(gang: WorkerGroup) -> TrialRecord:
    """The chief's record; its times are the slowest worker's, its memory the largest.

    So is the part of its cores that others had.
    """
    records = [gang.records[index] for index in sorted(gang.records)]
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
        found = (getattr(record.measures, name) for record in records)
        largest[name] = max((value for value in found if value is not None), default=None)
    return chief.model_copy(
        update={
            "epochs": slowest,
            "measures": chief.measures.model_copy(update=largest),
            "warnings": tuple(dict.fromkeys(w for r in records for w in r.warnings)),
            "devices": tuple(d for worker, r in enumerate(records) for d in _own(worker, r)),
        }
    )


def failure_record(gang: WorkerGroup, epochs: Sequence[EpochRecord]) -> TrialRecord:
    """The record of a gang of which a worker died or did not complete.

    ``error`` names the worker whose end explains the others', ``log_tail`` has all of theirs.
    """
    left = fetch_worker_logs(gang.places)
    epochs = _finished(epochs, left)
    fates = _fates(gang, epochs, left)
    # Of equals the first, in the order in which they were learnt.
    index = min(fates, key=lambda i: _MOST_TELLING.index(fates[i].status))
    fate = fates[index]
    own = gang.records.get(index)
    base = own or TrialRecord(trial=gang.trial, status=fate.status, epochs=epochs)
    several = gang.trial.variant.workers > 1
    place = gang.places.get(index)
    return base.model_copy(
        update={
            "status": fate.status,
            "error": f"worker {index}: {fate.reason}" if several else fate.reason,
            "log_tail": _tails(gang, own, left),
            "node": base.node or (place.node if place else None),
            "epochs": base.epochs or epochs,
        }
    )


def same_weights(norms: Sequence[float | None], variant: Variant) -> bool:
    """Whether weights of these L2 norms are the same but for rounding.

    All workers apply the same sums, so that only rounding can part them, where their hardware
    differs: by half a unit in the last place of a weight and step, which adds up as a random
    walk. Every precision but float64 holds weights in float32. In float64, eight times that:
    so is the norm itself, whose own rounding counts.
    """
    known = [norm for norm in norms if norm is not None]
    unit = 2.0 ** (-50 if variant.precision == "float64" else -24)
    tolerance = unit * math.sqrt(variant.epochs * variant.steps_per_epoch)
    return len(known) == len(norms) and math.isclose(min(known), max(known), rel_tol=tolerance)


def slowest_workers(beats: Mapping[int, int], workers: int) -> list[int]:
    """Of a gang's workers those that have told of least, for which the others may wait.

    ``beats`` are those that each has told of; one that has not is behind all that have. None
    where all have come equally far.
    """
    told = [beats.get(worker, -1) for worker in range(workers)]
    behind = [worker for worker, count in enumerate(told) if count == min(told)]
    return behind if len(behind) < workers else []


def terminated_record(
    gang: WorkerGroup, status: Status, reason: str, epochs: Sequence[EpochRecord]
) -> TrialRecord:
    """The record of a gang that the driver itself has ended."""
    place, left = gang.places.get(0), fetch_worker_logs(gang.places)
    return TrialRecord(
        trial=gang.trial,
        status=status,
        error=reason,
        log_tail=_tails(gang, None, left),
        node=place.node if place else None,
        epochs=_finished(epochs, left),
    )


def _finished(
    told: Sequence[EpochRecord], left: Mapping[int, WorkerLog]
) -> tuple[EpochRecord, ...]:
    """The epochs that the workers have told of, and those that they had no time to."""
    epochs = tuple(told)
    for index in sorted(left):
        epochs = with_lines(epochs, left[index].epochs)
    return epochs


def _own(worker: int, record: TrialRecord) -> list[str]:
    """The devices of one worker; TensorFlow's names of them know those of its peers too."""
    task = f"/task:{worker}/"
    own = [d for d in record.devices if task in d or "/task:" not in d]
    return [f"{record.node}/worker:{worker}/{d.rpartition('/device:')[2]}" for d in own]


def _fates(
    gang: WorkerGroup, epochs: Sequence[EpochRecord], left: Mapping[int, WorkerLog]
) -> dict[int, WorkerFailure]:
    refusable = gang.trial.variant.may_be_refused and not epochs
    fates = {
        index: classify_failure(error, gang.places.get(index), left.get(index), refusable=refusable)
        for index, error in gang.errors.items()
    }
    for index, record in gang.records.items():
        silent = _silent_peer(record.log_tail or "") if record.status == "failed" else None
        if silent is not None:
            reason = "its peers heard nothing of it any more: it was stopped, or its network cut"
            fates.setdefault(silent, WorkerFailure("worker_lost", reason))
        elif record.status != "completed":
            fates[index] = WorkerFailure(record.status, record.error or record.status)
    return fates


def _silent_peer(tail: str) -> int | None:
    if named := _SILENT.search(tail):
        return int(named.group(1))
    return 0 if _LEADER_SILENT in tail else None


def _tails(gang: WorkerGroup, own: TrialRecord | None, left: Mapping[int, WorkerLog]) -> str | None:
    tails = {index: found.log_tail for index, found in left.items() if found.log_tail}
    for index, record in gang.records.items():
        if record.log_tail:
            tails[index] = record.log_tail
    if gang.trial.variant.workers == 1:
        return tails.get(0) or (own.log_tail if own else None)
    named = [f"[worker {index}] {tail}" for index, tail in sorted(tails.items())]
    return "\n".join(named) or None
