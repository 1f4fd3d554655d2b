"""Define a trial's record: raw values with warm-up epochs marked, and medians derived from them.

Usage:
    record = TrialRecord(trial=trial, status="completed", epochs=(...), ...)
    record.model_dump_json()

A record is immutable. A value that could not be measured is None, never 0.
"""

import statistics
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from bench.records.epoch_record import EpochRecord
from bench.records.field_types import ResolvedSettings
from bench.records.health_record import HealthRecord
from bench.records.measures import Measures
from bench.records.ranges import NOT_FINITE, Count, Moment, Positive, Seconds, Text
from bench.records.record_part import RecordPart
from bench.spec.fail_fast_types import FailFastTuple
from bench.spec.plan import Trial

SCHEMA_VERSION = 1

Status = Literal[
    "completed",
    "diverged",
    "out_of_memory",
    "timed_out",
    "worker_lost",
    "unsupported",
    "failed",
    "interrupted",
]
STATUSES: tuple[Status, ...] = get_args(Status)

SUCCESS_STATUSES: frozenset[Status] = frozenset({"completed", "diverged", "unsupported"})
"""Statuses that answer the question; a run succeeds if all its trials have one of these."""

FINAL_STATUSES: frozenset[Status] = SUCCESS_STATUSES | {"out_of_memory"}
"""Statuses that a resumed run keeps; it retries trials with other statuses."""

MAX_TAKEN_SHARE = 0.1
"""Share of a trial's cores above which other work makes its time doubtful."""


class ExcludedGpus(RecordPart):
    """GPUs of a node that a run does not use."""

    node: str
    devices: FailFastTuple[str]
    """By UUID, or by Ray's name if the driver does not know it."""
    reason: str
    """Why, in one line."""


def _restore_not_finite(value: Any) -> Any:
    """Convert the texts for NaN and infinities in ``value``, from JSON, to numbers."""
    if isinstance(value, dict):
        return {key: _restore_not_finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_restore_not_finite(inner) for inner in value]
    return NOT_FINITE.get(value, value) if isinstance(value, str) else value


class TrialRecord(RecordPart):
    """One attempt at a trial, with any outcome."""

    schema_version: int = SCHEMA_VERSION
    trial: Trial
    attempt: Positive = 1
    """From 1; a trial whose worker was lost is retried."""
    invocation: Count = 0
    """Which call of ``bench run`` on this folder made the attempt, from 0."""
    status: Status
    """How the attempt ended."""
    error: Text | None = None
    """Why it did not complete, in one line."""
    log_tail: Text | None = None
    """The last lines that its process wrote, if it did not complete."""
    started_at: Moment | None = None
    """UTC, ISO 8601."""
    wall_s: Seconds | None = None
    """From its dispatch to its end, as the driver saw them: the cost of the trial."""
    node: str | None = None
    """The host that trained; with several workers, the host of the first."""
    devices: FailFastTuple[str] = ()
    """UUIDs of GPUs, or TensorFlow's names of the devices."""
    left_out: FailFastTuple[ExcludedGpus] = ()
    """Unfit GPUs on which it would have started; it moved to others."""
    warnings: FailFastTuple[Text] = ()
    """Problems that did not prevent training, one line each."""
    resolved: Annotated[ResolvedSettings, BeforeValidator(_restore_not_finite)] = Field(
        default_factory=dict
    )
    """The settings that TensorFlow received and chose, in plain data.

    The texts "NaN", "Infinity" and "-Infinity" are numbers, which JSON cannot write otherwise.
    """
    measures: Measures = Measures()
    epochs: FailFastTuple[EpochRecord] = ()
    health: FailFastTuple[HealthRecord] = ()
    """Layer statistics after each epoch that ``health_epochs`` names."""

    @model_validator(mode="after")
    def _in_order(self) -> "TrialRecord":
        for position, epoch in enumerate(self.epochs):
            if epoch.epoch != position:
                raise ValueError(
                    f"epochs[{position}].epoch cannot be {epoch.epoch}: number them in order"
                )
        return self

    @property
    def steady_epochs(self) -> tuple[EpochRecord, ...]:
        """Epochs after the warm-up, or the only epoch if there is just one."""
        return tuple(e for e in self.epochs if not e.warmup)

    @property
    def epoch_s(self) -> float | None:
        """Median time of the timed epochs."""
        steady = self.steady_epochs
        return statistics.median(e.epoch_s for e in steady) if steady else None

    @property
    def examples_per_s(self) -> float | None:
        """All examples of the timed epochs divided by their total time."""
        steady = self.steady_epochs
        seconds = sum(e.epoch_s for e in steady)
        return sum(e.examples for e in steady) / seconds if steady else None

    def time_to_accuracy_s(self) -> float | None:
        """Training time to ``target_accuracy`` on the validation data, without cold start.

        Returns None if no target was set, and infinity if it was not reached. A trial that diverged
        did not reach it.
        """
        target = self.trial.variant.target_accuracy
        if target is not None and self.status == "diverged":
            return float("inf")
        if target is None or not self.epochs:
            return None
        elapsed = 0.0
        for e in self.epochs:
            elapsed += e.epoch_s
            if e.val_accuracy is not None and e.val_accuracy >= target:
                return elapsed
        return float("inf")

    def time_to_accuracy_with_cold_start_s(self) -> float | None:
        """Return the same plus the cold start; None if either is unknown."""
        reached, cold_start_s = self.time_to_accuracy_s(), self.measures.cold_start_s
        return None if reached is None or cold_start_s is None else reached + cold_start_s
