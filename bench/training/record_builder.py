"""Collect what a trial measures and chooses, and build its record.

Usage:
    record = RecordBuilder(trial)
    with record.timed("build_s"):
        ...                                    # adds its seconds to that measure
    record.resolved["compiled"] = "epoch"
    record.add_epoch(0, result, score, evaluate_s=0.1)
    record.build("completed")
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.records.epoch_record import EpochRecord
from bench.records.health_record import HealthRecord
from bench.records.measures import Measures
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Trial
from bench.training import runtime
from bench.training.evaluation import Score
from bench.training.loop.epoch_result import EpochResult


@dataclass
class RecordBuilder:
    """What is known about a trial so far; an exception in the trial leaves it as it is."""

    trial: Trial
    epochs: list[EpochRecord] = field(default_factory=list)
    health: list[HealthRecord] = field(default_factory=list)
    measures: dict[str, Any] = field(default_factory=dict)
    """Values of ``Measures``, by name."""
    resolved: dict[str, Any] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    warnings: list[str] = field(default_factory=list)

    def build(
        self, status: Status, error: str | None = None, log_tail: str | None = None
    ) -> TrialRecord:
        """Return the record of the trial, which ended with ``status``."""
        return TrialRecord(
            trial=self.trial,
            status=status,
            error=error,
            log_tail=log_tail,
            devices=self.devices,
            warnings=tuple(self.warnings),
            resolved=self.resolved,
            measures=Measures.model_validate(self.measures),
            epochs=tuple(self.epochs),
            health=tuple(self.health),
        )

    def add_epoch(
        self, epoch: int, result: EpochResult, score: Score, evaluate_s: float
    ) -> EpochRecord:
        """Add and return the record of an epoch, whose validation took ``evaluate_s``."""
        variant = self.trial.variant
        record = EpochRecord(
            epoch=epoch,
            warmup=epoch < variant.warmup_epochs,
            epoch_s=result.epoch_s,
            examples=result.examples,
            steps=result.steps,
            train_loss=result.loss,
            train_accuracy=result.accuracy,
            val_loss=score.loss,
            val_accuracy=score.accuracy,
            evaluate_s=evaluate_s,
            window_s=result.window_s,
            repeats=result.repeats,
            clipped_steps=None if variant.clip == "none" else result.clipped_steps,
            skipped_steps=result.skipped_steps if self.resolved["skips_non_finite"] else None,
            input_wait_s=result.input_wait_s,
            window_start_s=result.window_start_s,
            window_round=result.window_round,
            window_cpu_s=result.window_cpu_s,
            window_involuntary_switches=result.window_involuntary_switches,
        )
        self.epochs.append(record)
        self._add_seconds("evaluate_s", evaluate_s)
        return record

    def add_peak(self, name: str) -> None:
        """Store the largest peak of a stage as the measure ``name``, and reset the counter."""
        peak = runtime.take_peak_device_memory_bytes()
        if peak is not None:
            self.measures[name] = max(peak, self.measures.get(name) or 0)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the block's seconds to the measure ``name``, unless it raises."""
        started = time.perf_counter()
        yield
        self._add_seconds(name, time.perf_counter() - started)

    def _add_seconds(self, name: str, seconds: float) -> None:
        self.measures[name] = self.measures.get(name, 0.0) + seconds
