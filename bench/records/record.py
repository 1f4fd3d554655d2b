"""What a trial leaves behind: raw values, warm-ups kept apart, nothing derived but medians.

Usage:
    record = TrialRecord(trial=trial, status="completed", epochs=(...), ...)
    record.model_dump_json()

A record is immutable. What could not be measured is None, never 0.
"""

import statistics
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from bench.records.epoch_record import EpochRecord
from bench.records.health_record import HealthRecord
from bench.records.measures import Measures
from bench.records.ranges import NOT_FINITE, Count, Moment, Positive, Said, Seconds
from bench.records.record_part import RecordPart
from bench.records.shapes import ResolvedSettings
from bench.spec.fail_fast import FailFastTuple
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

FINE: frozenset[Status] = frozenset({"completed", "diverged", "unsupported"})
"""Statuses that are answers: with these alone, a run has succeeded."""

SETTLED: frozenset[Status] = FINE | {"out_of_memory"}
"""Statuses that a resumed run leaves as they are; the others are tried again."""

MUCH_TAKEN = 0.1
"""Part of a trial's cores that makes its time doubtful, taken by other work."""


class LeftOut(RecordPart):
    """GPUs of a node that a run does not use."""

    node: str
    devices: FailFastTuple[str]
    """By UUID, or as Ray names them where the driver knows none of that name."""
    reason: str
    """Why, in one line."""


def _with_numbers(value: Any) -> Any:
    """``value`` from JSON, its texts for numbers that are not finite as those numbers."""
    if isinstance(value, dict):
        return {key: _with_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_numbers(inner) for inner in value]
    return NOT_FINITE.get(value, value) if isinstance(value, str) else value


class TrialRecord(RecordPart):
    """One attempt at a trial, whatever became of it."""

    schema_version: int = SCHEMA_VERSION
    trial: Trial
    attempt: Positive = 1
    """From 1; a trial whose worker was lost is tried again."""
    invocation: Count = 0
    """Which call of ``bench run`` on this folder made the attempt, from 0."""
    status: Status
    """How it ended."""
    error: Said | None = None
    """Why it did not complete, in one line."""
    log_tail: Said | None = None
    """The last lines that its process wrote, where it did not complete."""
    started_at: Moment | None = None
    """UTC, ISO 8601."""
    wall_s: Seconds | None = None
    """From its dispatch to its end as the driver saw it: what the trial cost."""
    node: str | None = None
    """The host that trained; of several workers, the first's."""
    devices: FailFastTuple[str] = ()
    """GPUs by UUID, or TensorFlow's names of the devices."""
    left_out: FailFastTuple[LeftOut] = ()
    """GPUs that it was to start on and that were found unfit: it then went to others."""
    warnings: FailFastTuple[Said] = ()
    """What was not as it should be and did not keep it from training, a line each."""
    resolved: Annotated[ResolvedSettings, BeforeValidator(_with_numbers)] = Field(
        default_factory=dict
    )
    """What TensorFlow was given and chose in the end, in plain data.

    Its texts "NaN", "Infinity" and "-Infinity" are numbers: JSON has no other way to write them.
    """
    measures: Measures = Measures()
    epochs: FailFastTuple[EpochRecord] = ()
    health: FailFastTuple[HealthRecord] = ()
    """A look at the layers after each epoch that ``health_epochs`` names."""

    @model_validator(mode="after")
    def _in_order(self) -> "TrialRecord":
        for place, epoch in enumerate(self.epochs):
            if epoch.epoch != place:
                raise ValueError(
                    f"epochs[{place}].epoch cannot be {epoch.epoch}: number them in order"
                )
        return self

    @property
    def steady_epochs(self) -> tuple[EpochRecord, ...]:
        """Epochs after the warm-up; the only epoch where there is but one."""
        return tuple(e for e in self.epochs if not e.warmup)

    @property
    def epoch_s(self) -> float | None:
        """Median time of the steady epochs."""
        steady = self.steady_epochs
        return statistics.median(e.epoch_s for e in steady) if steady else None

    @property
    def examples_per_s(self) -> float | None:
        """All examples of the steady epochs over all their time."""
        steady = self.steady_epochs
        seconds = sum(e.epoch_s for e in steady)
        return sum(e.examples for e in steady) / seconds if steady else None

    def time_to_accuracy_s(self) -> float | None:
        """Training time to ``target_accuracy`` on the validation data, without cold start.

        None where no target was set, infinity where it was not reached. A trial that diverged
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
        """The same with the cold start before it; None where either is not known."""
        reached, cold_start_s = self.time_to_accuracy_s(), self.measures.cold_start_s
        return None if reached is None or cold_start_s is None else reached + cold_start_s
