"""What an executor does, written down: its events and its records in the order they came.

Usage:
    log = observe(executor, suite)
    log = observe_in_subprocess("inprocess", TINY)      # in a process of its own
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.execution.executor import EpochEnd, Event, Executor, Limits, TrialStart
from bench.execution.executor_registry import make_executor
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Block, make_plan
from bench.spec.suite import Suite, parse_suite
from tests.support.paths import ROOT

LIMITS = Limits(trial_timeout_s=3600.0)


@dataclass
class Log:
    """Lines are ("started", id), ("epoch", id, number), ("record", id, status)."""

    lines: list[tuple[Any, ...]] = field(default_factory=list)
    records: list[TrialRecord] = field(default_factory=list)
    interrupted: bool = False

    def of(self, trial_id: str) -> list[tuple[Any, ...]]:
        """The lines about one trial, without its id."""
        return [(line[0], *line[2:]) for line in self.lines if line[1] == trial_id]

    def note(self, event: Event) -> None:
        """Write an event down."""
        if isinstance(event, TrialStart):
            self.lines.append(("started", event.trial.trial_id))
        elif isinstance(event, EpochEnd):
            self.lines.append(("epoch", event.trial_id, event.epoch.epoch))

    def keep(self, record: TrialRecord) -> None:
        """Write a record down."""
        self.lines.append(("record", record.trial.trial_id, record.status))
        self.records.append(record)


def observe(
    executor: Executor,
    plan: Suite | list[Block],
    limits: Limits = LIMITS,
    also: Callable[[Event], None] = lambda _event: None,
) -> Log:
    """Run a suite's plan, or blocks; ``also`` is called after each event is noted."""
    log = Log()
    blocks = list(make_plan(plan).blocks) if isinstance(plan, Suite) else plan

    def on_event(event: Event) -> None:
        log.note(event)
        also(event)

    try:
        for record in executor.run(blocks, limits, on_event):
            log.keep(record)
    except KeyboardInterrupt:
        log.interrupted = True
    return log


class InterruptAt:
    """Raises KeyboardInterrupt once, as the first epoch ends."""

    def __init__(self) -> None:
        self.done = False

    def __call__(self, event: Event) -> None:
        """Look at an event."""
        if isinstance(event, EpochEnd) and not self.done:
            self.done = True
            raise KeyboardInterrupt


def observe_in_subprocess(name: str, suite: dict[str, Any], *, interrupt: bool = False) -> Log:
    """The same in a fresh process, which may import TensorFlow."""
    asked = json.dumps([name, suite, interrupt])
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.observers", asked],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return Log(
        lines=[tuple(line) for line in found["lines"]],
        records=[TrialRecord.model_validate(record) for record in found["records"]],
        interrupted=found["interrupted"],
    )


def _main() -> None:
    name, content, interrupt = json.loads(sys.argv[1])
    with make_executor(name) as executor:
        wanted = InterruptAt() if interrupt else lambda _event: None
        log = observe(executor, parse_suite(content), also=wanted)
    records = [record.model_dump(mode="json") for record in log.records]
    print(json.dumps({"lines": log.lines, "records": records, "interrupted": log.interrupted}))


if __name__ == "__main__":
    _main()
