"""The actor that holds a block's devices is killed at each stage: the block is tried again whole.

Nothing is lost, and no process and no log is left.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import ray

from bench.execution.executor import EpochEnd, Event, TrialStart
from bench.execution.ray_backend.ray_executor import RayExecutor
from bench.spec.plan import Block, make_plan
from tests.support.observers import LIMITS, observe
from tests.support.processes import PATIENCE_S, workers_below
from tests.support.sample_suites import SINGLE, suite_of

pytestmark = pytest.mark.slow

_PRELOADER = "bench.training.trial_process.preloader"
EPOCHS = 6
Happened = Callable[[Event], bool]


def block() -> Block:
    """Two arms that take turns."""
    plans = [make_plan(suite_of(SINGLE, norm=norm, epochs=EPOCHS)) for norm in ("none", "layer")]
    return Block(repeat=0, trials=tuple(plan.trials[0] for plan in plans))


def below(word: str) -> list[psutil.Process]:
    """The processes below this one whose command has ``word``."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if word in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill_holder() -> None:
    for process in below("ray::Holder"):
        process.kill()


def kill_holder_while_it_imports() -> None:
    """Wait for a preloader, and kill the holder that has started it."""
    ends = time.monotonic() + PATIENCE_S
    while not (preloaders := below(_PRELOADER)) and time.monotonic() < ends:
        time.sleep(0.01)
    assert preloaders
    kill_holder()


def starts(event: Event) -> bool:
    return isinstance(event, TrialStart)


def waits(event: Event) -> bool:
    """An arm has started, and waits while the second one starts."""
    return isinstance(event, TrialStart) and event.trial.order == 1


def trains(event: Event) -> bool:
    return isinstance(event, EpochEnd)


def is_at_its_end(event: Event) -> bool:
    return isinstance(event, EpochEnd) and event.epoch.epoch == EPOCHS - 1


@pytest.mark.parametrize("happened", [None, starts, waits, trains, is_at_its_end])
def test_a_killed_holder_loses_nothing_and_leaves_nothing(
    ray_executor: RayExecutor, happened: Happened | None
) -> None:
    context = ray.get_runtime_context()
    logs = Path(context.get_temp_dir(), context.get_session_name(), "logs")
    killed = list[Event]()

    def act(event: Event) -> None:
        if happened and happened(event) and not killed:
            killed.append(event)
            kill_holder()

    importing = threading.Thread(target=kill_holder_while_it_imports)
    if happened is None:
        importing.start()
    records = observe(ray_executor, [block()], LIMITS, act).records
    if happened is None:
        importing.join()
    last = {record.trial.trial_id: record for record in records}
    assert [record.status for record in last.values()] == ["completed"] * 2
    assert {len(record.epochs) for record in last.values()} == {EPOCHS}
    first = [record for record in records if record.status != "completed"]
    assert {record.status for record in first} <= {"worker_lost"}
    if len(first) != 1 or happened is None:
        # All were lost, or none: then the last attempts took turns.
        assert {record.resolved["turns"] for record in last.values()} == {"window"}
    assert workers_below(os.getpid()) == []
    assert below(_PRELOADER) == []
    assert list(logs.glob("bench-worker-*")) == []
