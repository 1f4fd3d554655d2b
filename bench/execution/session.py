"""A plan, through an executor, into a run folder.

Usage:
    folder = open_folder(path, suite, resume=False)
    summary = run_plan(folder, suite, executor, observer=...)

Each record is on disk before the next is waited for, so that nothing measured is lost,
whatever ends the run.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.errors import SuiteError
from bench.execution.executor import Event, Executor, Limits
from bench.measure.environment import environment
from bench.records.clock import utc_now
from bench.records.record import FINE, SETTLED, Status, TrialRecord
from bench.records.store import Invocation, RunFolder, RunInfo
from bench.spec.plan import Block, Plan, make_plan
from bench.spec.suite import Suite, first_difference, parse_suite


class Observer(Protocol):
    """Somebody who watches a run."""

    def planned(self, blocks: Sequence[Block], lanes: int) -> None:
        """The trials that are to run now, and how many blocks run at once."""

    def event(self, event: Event) -> None:
        """A trial started, or an epoch ended."""

    def recorded(self, record: TrialRecord) -> None:
        """A trial ended, and its record is on disk."""


@dataclass(frozen=True)
class Outcome:
    """How a call of ``run_plan`` ended."""

    folder: RunFolder
    statuses: dict[str, Status]
    """The last attempt's status of every trial recorded so far, by trial."""
    planned: int

    @property
    def succeeded(self) -> bool:
        """Whether every trial of the plan is completed, diverged or unsupported."""
        return len(self.statuses) == self.planned and set(self.statuses.values()) <= FINE


def open_folder(path: Path, suite: Suite, *, resume: bool) -> RunFolder:
    """A new run folder for ``suite``, or the one to go on with; SuiteError if it differs."""
    plan = make_plan(suite)
    info = RunInfo(
        suite=suite.model_dump(mode="json"),
        pairs=plan.pairs,
        trial_ids=tuple(trial.trial_id for trial in plan.trials),
    )
    if not resume:
        return RunFolder.create(path, info)
    folder = RunFolder.open(path)
    stored = folder.info()
    difference = first_difference(suite, parse_suite(stored.suite, str(path)))
    if difference:
        raise SuiteError(f"{path}: was made from another suite: {difference}: choose another --out")
    return folder


def run_plan(
    folder: RunFolder,
    suite: Suite,
    executor: Executor,
    observer: Observer,
    *,
    retries: int = 1,
    command: Sequence[str] = (),
) -> Outcome:
    """Run what the folder lacks and return how it stands; KeyboardInterrupt passes through."""
    plan = make_plan(suite)
    with folder.locked():
        ledger = _Ledger(folder)
        pending = ledger.pending(plan)
        if pending:
            limits = Limits(suite.trial_timeout_s, retries)
            with executor, _invocation(folder, suite, plan, executor, command) as number:
                observer.planned(pending, executor.lanes)
                for record in executor.run(pending, limits, observer.event):
                    observer.recorded(ledger.keep(record, number))
    return Outcome(folder, ledger.statuses, len(plan.trials))


class _Ledger:
    """What a run folder holds already, kept in step with what is added to it."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._attempts: dict[str, int] = {}
        self.statuses: dict[str, Status] = {}
        for raw in folder.raw_records():
            trial_id = raw["trial"]["trial_id"]
            self._attempts[trial_id] = raw["attempt"]
            self.statuses[trial_id] = raw["status"]

    def pending(self, plan: Plan) -> tuple[Block, ...]:
        """The plan without its settled trials, and without the blocks that leaves empty."""
        settled = {trial_id for trial_id, status in self.statuses.items() if status in SETTLED}
        left = (
            Block(
                repeat=block.repeat,
                trials=tuple(t for t in block.trials if t.trial_id not in settled),
            )
            for block in plan.blocks
        )
        return tuple(block for block in left if block.trials)

    def keep(self, record: TrialRecord, invocation: int) -> TrialRecord:
        """Number an attempt, write it, and remember how it ended."""
        trial_id = record.trial.trial_id
        attempt = self._attempts.get(trial_id, 0) + 1
        numbered = record.model_copy(update={"attempt": attempt, "invocation": invocation})
        self._folder.write(numbered)
        self._attempts[trial_id] = attempt
        self.statuses[trial_id] = record.status
        return numbered


@contextlib.contextmanager
def _invocation(
    folder: RunFolder, suite: Suite, plan: Plan, executor: Executor, command: Sequence[str]
) -> Iterator[int]:
    """Enter this call into run.json, at once and again, with its wall time, when it ends."""
    started = time.perf_counter()
    call = Invocation(
        started_at=utc_now(),
        command=tuple(command),
        executor=executor.name,
        environment={"driver": environment(), **executor.environment()},
    )
    before = folder.info()
    grown = before.model_copy(
        update={
            "suite": suite.model_dump(mode="json"),
            "pairs": plan.pairs,
            "trial_ids": tuple(trial.trial_id for trial in plan.trials),
        }
    )

    def enter(call: Invocation) -> None:
        calls = (*before.invocations, call)
        folder.write_info(grown.model_copy(update={"invocations": calls}))

    enter(call)
    try:
        yield len(before.invocations)
    finally:
        enter(call.model_copy(update={"wall_s": time.perf_counter() - started}))
