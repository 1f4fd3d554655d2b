"""What a run makes of a process for Ray that dies, hangs or fails: records, an error, no rest."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import ClusterLostError, ResourceError
from bench.execution.executor import EpochEnded, Event, Limits, OnEvent
from bench.execution.ray_backend import ray_process
from bench.execution.ray_backend.ray_process import RayProcess
from bench.measure.marked_processes import marked_processes
from bench.records.trial_record import TrialRecord
from bench.spec.plan import make_plan
from tests.support.observers import LIMITS
from tests.support.processes import PATIENCE_S
from tests.support.sample_suites import SINGLE, suite_of

CHILD = "tests.support.ray_child_setup"
BLOCKS = make_plan(suite_of(SINGLE, epochs=3)).blocks

Ending = Callable[[str], RayProcess]


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ending:
    """An executor whose process for Ray ends in a given way, and soon."""

    def made(end: str) -> RayProcess:
        monkeypatch.setattr(
            ray_process, "module_command", lambda _, fd: [sys.executable, "-m", CHILD, end, fd]
        )
        # In the place of an address, the log of the worker that it starts.
        return RayProcess(str(tmp_path / "worker.log"))

    for name in ("_INTERRUPTED_S", "_LEAVE_S"):
        monkeypatch.setattr(ray_process, name, 0.5)
    return made


@pytest.fixture(autouse=True)
def marks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The marks of what was started, of which nothing is left in the end."""
    found: list[str] = []
    kill = ray_process._kill

    def noted(mark: str) -> None:
        found.append(mark)
        kill(mark)

    monkeypatch.setattr(ray_process, "_kill", noted)
    return found


def run(
    executor: RayProcess, records: list[TrialRecord], on_event: OnEvent = lambda _: None
) -> None:
    with executor:
        for record in executor.run(BLOCKS, LIMITS, on_event):
            records.append(record)


@pytest.mark.parametrize(("end", "why"), [("exits", "code 1"), ("is killed", "SIGKILL")])
def test_a_process_that_dies_loses_what_ran_but_no_finished_epoch(
    ending: Ending, marks: list[str], end: str, why: str
) -> None:
    records: list[TrialRecord] = []
    with pytest.raises(ClusterLostError, match=why):
        run(ending(end), records)
    (record,) = records
    assert (record.status, len(record.epochs), record.node) == ("worker_lost", 3, "here")
    assert [marked_processes(mark) for mark in marks] == [[]]


def test_an_interrupt_is_heeded_where_the_process_hangs(ending: Ending, marks: list[str]) -> None:
    records: list[TrialRecord] = []

    def interrupt(event: Event) -> None:
        if isinstance(event, EpochEnded):
            threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT]).start()

    with pytest.raises(KeyboardInterrupt):
        run(ending("hangs"), records, interrupt)
    (record,) = records
    assert (record.status, len(record.epochs)) == ("interrupted", 3)
    assert [marked_processes(mark) for mark in marks] == [[]]


def test_an_interrupt_between_two_records_loses_neither(
    ending: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = ending("completed")
    monkeypatch.setattr(ray_process, "_INTERRUPTED_S", PATIENCE_S)
    with executor:
        records = executor.run(BLOCKS, Limits(60.0, skip_reason=_told), lambda _: None)
        assert next(records).error is None
        # The process for Ray waits to hear that the first is kept.
        assert records.throw(KeyboardInterrupt()).error == "told"
        with pytest.raises(KeyboardInterrupt):
            next(records)


def test_a_start_that_hangs_is_given_up(
    ending: Ending, marks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ray_process._LOCAL_START_S <= 200 < ray_process._JOIN_S
    monkeypatch.setattr(ray_process, "_JOIN_S", 3.0)
    with pytest.raises(ResourceError, match="no answer in 3 s"), ending("never ready"):
        pass
    assert [marked_processes(mark) for mark in marks] == [[]]


def test_a_start_that_ray_s_library_ends_is_an_error(ending: Ending) -> None:
    with pytest.raises(ResourceError, match="SIGKILL"), ending("killed at the start"):
        pass


def test_what_the_process_raises_is_raised_here_after_the_records(ending: Ending) -> None:
    records: list[TrialRecord] = []
    with pytest.raises(ZeroDivisionError, match="by hand"):
        run(ending("raises"), records)
    assert [record.status for record in records] == ["interrupted"]


def test_what_a_record_makes_needless_is_asked_anew_after_it(
    ending: Ending, marks: list[str]
) -> None:
    limits = Limits(60.0, skip_reason=_told)
    with ending("completed") as executor:
        records = list(executor.run(BLOCKS, limits, lambda _: None))
    assert [record.error for record in records] == [None, "told"]
    # It did not leave, and was not waited for without end.
    assert [marked_processes(mark) for mark in marks] == [[]]


def _told(_trial: object) -> str:
    return "told"
