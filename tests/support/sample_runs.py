"""Runs of the tiny suite that take no time, and somebody who watches them."""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import bench
from bench.errors import ResourceError
from bench.execution.executor import Limits, OnEvent
from bench.execution.null_observer import NullObserver
from bench.execution.simulated import Fate, SimulatedExecutor
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Block, make_plan
from bench.spec.suite import Suite
from tests.support.sample_suites import TINY, suite_of

SUITE = suite_of(TINY)
TRIALS = make_plan(SUITE).trials


class Seen(NullObserver):
    """An observer that remembers, and looks at the disk as each record is told of."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.records: list[TrialRecord] = []
        self.on_disk: list[set[str]] = []
        self.planned_trials: list[str] = []
        self.lanes = 0

    def planned(self, blocks: Sequence[Block], lanes: int) -> None:
        self.lanes = lanes
        self.planned_trials = [trial.trial_id for block in blocks for trial in block.trials]

    def recorded(self, record: TrialRecord) -> None:
        self.records.append(record)
        if self.folder:
            self.on_disk.append({p.stem for p in (self.folder / "trials").glob("*.json")})


class NeverEntered(SimulatedExecutor):
    """An executor that must not be started."""

    def __enter__(self) -> "NeverEntered":
        raise AssertionError("there was nothing to run")


class OutOfReach(SimulatedExecutor):
    """An executor that cannot be had."""

    def __enter__(self) -> "OutOfReach":
        raise ResourceError("no cluster: name another")


class WithRun(SimulatedExecutor):
    """A simulated executor around whose records something happens."""

    def __init__(self, before_next: Callable[[int], None]) -> None:
        super().__init__()
        self._before_next = before_next

    def run(
        self, blocks: Sequence[Block], limits: Limits, on_event: OnEvent
    ) -> Generator[TrialRecord, None, None]:
        """Call ``before_next`` with the number of records that are out."""
        for count, record in enumerate(super().run(blocks, limits, on_event)):
            self._before_next(count)
            yield record


def only_first(status: Status) -> Fate:
    """The plan's first trial ends so, the others complete."""
    return lambda trial, _attempt: status if trial == TRIALS[0] else "completed"


def run(out: Path, suite: Suite = SUITE, **options: Any) -> bench.RunResult:
    options.setdefault("executor", SimulatedExecutor())
    return bench.run(suite, out, **options)


def again(out: Path, suite: Suite = SUITE, **options: Any) -> list[str]:
    """Resume; the trials that ran."""
    seen = Seen()
    run(out, suite, resume=True, observer=seen, **options)
    assert seen.planned_trials == [record.trial.trial_id for record in seen.records]
    return seen.planned_trials
