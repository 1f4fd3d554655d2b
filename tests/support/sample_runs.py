"""Simulated runs of the tiny suite, and an observer that records them."""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import bench
from bench.errors import ResourceError
from bench.execution.executor import Limits, OnEvent
from bench.execution.null_observer import NullObserver
from bench.execution.simulated import SimulatedExecutor, StatusChooser
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Block, make_plan
from bench.spec.suite import Suite
from tests.support.sample_suites import TINY, suite_of

SUITE = suite_of(TINY)
TRIALS = make_plan(SUITE).trials


class RecordingObserver(NullObserver):
    """An observer that keeps the records, and lists the disk's records when each arrives."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.records: list[TrialRecord] = []
        self.on_disk: list[set[str]] = []
        self.planned_trials: list[str] = []
        self.parallel_blocks = 0

    def planned(self, blocks: Sequence[Block], parallel_blocks: int) -> None:
        self.parallel_blocks = parallel_blocks
        self.planned_trials = [trial.trial_id for block in blocks for trial in block.trials]

    def recorded(self, record: TrialRecord) -> None:
        self.records.append(record)
        if self.folder:
            self.on_disk.append({p.stem for p in (self.folder / "trials").glob("*.json")})


class UnusedExecutor(SimulatedExecutor):
    """An executor that must not be started."""

    def __enter__(self) -> "UnusedExecutor":
        raise AssertionError("there was nothing to run")


class UnavailableExecutor(SimulatedExecutor):
    """An executor that is unavailable."""

    def __enter__(self) -> "UnavailableExecutor":
        raise ResourceError("no cluster: name another")


class HookedExecutor(SimulatedExecutor):
    """A simulated executor that calls a function before each record."""

    def __init__(self, before_next: Callable[[int], None]) -> None:
        super().__init__()
        self._before_next = before_next

    def run(
        self, blocks: Sequence[Block], limits: Limits, on_event: OnEvent
    ) -> Generator[TrialRecord, None, None]:
        """Call ``before_next`` with the number of records yielded so far."""
        for count, record in enumerate(super().run(blocks, limits, on_event)):
            self._before_next(count)
            yield record


def only_first(status: Status) -> StatusChooser:
    """The plan's first trial ends with ``status``, the others complete."""
    return lambda trial, _attempt: status if trial == TRIALS[0] else "completed"


def run(out: Path, suite: Suite = SUITE, **options: Any) -> bench.RunResult:
    options.setdefault("executor", SimulatedExecutor())
    return bench.run(suite, out, **options)


def resume_run(out: Path, suite: Suite = SUITE, **options: Any) -> list[str]:
    """Resume a run and return the trials that ran."""
    observer = RecordingObserver()
    run(out, suite, resume=True, observer=observer, **options)
    assert observer.planned_trials == [record.trial.trial_id for record in observer.records]
    return observer.planned_trials
