"""What a run makes of a process for Ray that dies, hangs or fails: records, an error, no rest."""

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest

from bench.errors import ClusterLostError, ResourceError
from bench.execution.executor import EpochEnd, Event, Limits, OnEvent, TrialStart
from bench.execution.ray_backend.local.private_ray_files import PREFIX
from bench.execution.ray_backend.process import ray_process
from bench.execution.ray_backend.process.child_process import kill_marked_processes
from bench.execution.ray_backend.process.ray_messages import RunPipe
from bench.execution.ray_backend.process.ray_process import RayProcess
from bench.measure.marked_processes import marked_processes
from bench.records.trial_record import TrialRecord
from bench.spec.plan import make_plan
from tests.support.fault_table import FAULTS
from tests.support.observers import LIMITS
from tests.support.processes import PATIENCE_S
from tests.support.sample_suites import ENDLESS, SINGLE, suite_of

CHILD = "tests.support.ray_child_setup"
IMPATIENT = """
from bench.execution.ray_backend.cluster import head_address
from bench.execution.ray_backend.process import ray_process, ray_watchdog

ray_watchdog.BEAT_S, ray_watchdog.STALLED_S, head_address._ANSWER_S = 1.0, 8.0, 2.0
ray_process.main()
"""
"""The real process, which waits less for Ray to answer."""
LARGE = bytes(8 * 2**20)
"""More than a socket holds, so that who sends it waits."""
BLOCKS = make_plan(suite_of(SINGLE, epochs=3)).blocks
TWO_BLOCKS = make_plan(suite_of({**SINGLE, "blocks": 2})).blocks

Ending = Callable[[str], RayProcess]


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ending:
    """An executor whose process for Ray ends in a given way, and soon."""

    def made(end: str) -> RayProcess:
        monkeypatch.setattr(
            ray_process, "module_command", lambda _: [sys.executable, "-m", CHILD, end]
        )
        # In the place of an address, the log of the worker that it starts.
        return RayProcess(str(tmp_path / "worker.log"))

    for name in ("_INTERRUPTED_S", "_SHUTDOWN_S"):
        monkeypatch.setattr(ray_process, name, 0.5)
    return made


@pytest.fixture(autouse=True)
def marks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The marks of what was started, of which nothing is left in the end."""
    found: list[str] = []

    def noted(mark: str) -> None:
        found.append(mark)
        kill_marked_processes(mark)

    monkeypatch.setattr(ray_process, "kill_marked_processes", noted)
    return found


def run(
    executor: RayProcess, records: list[TrialRecord], on_event: OnEvent = lambda _: None
) -> None:
    with executor:
        for record in executor.run(BLOCKS, LIMITS, on_event):
            records.append(record)


@pytest.mark.parametrize(
    ("end", "why"),
    [("exits", "code 1"), ("is killed", "SIGKILL"), ("cannot be read", "pipe")],
)
def test_a_process_that_dies_loses_what_ran_but_no_finished_epoch(
    ending: Ending, marks: list[str], end: str, why: str
) -> None:
    records: list[TrialRecord] = []
    with pytest.raises(ClusterLostError, match=why):
        run(ending(end), records)
    (record,) = records
    assert (record.status, len(record.epochs), record.node) == ("worker_lost", 3, "here")
    assert [marked_processes(mark) for mark in marks] == [[]]


def test_a_process_that_freezes_is_given_up_with_its_records(
    ending: Ending, marks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_process, "_WAIT_S", 0.5)
    records: list[TrialRecord] = []
    with pytest.raises(ClusterLostError, match="no answer within 12 s"):
        run(ending("freezes"), records)
    (record,) = records
    assert (record.status, len(record.epochs)) == (FAULTS["process frozen"].status, 3)
    assert [marked_processes(mark) for mark in marks] == [[]]


@pytest.mark.parametrize(
    "end", ["hangs", "freezes", "errs on the interrupt", "loses Ray on the interrupt"]
)
def test_an_interrupt_ends_the_run_however_the_process_reacts(
    ending: Ending, marks: list[str], end: str
) -> None:
    records: list[TrialRecord] = []
    with pytest.raises(KeyboardInterrupt):
        run(ending(end), records, interrupt)
    (record,) = records
    assert (record.status, len(record.epochs)) == ("interrupted", 3)
    assert [marked_processes(mark) for mark in marks] == [[]]


def test_a_process_that_ignores_an_interrupt_gets_no_second_wait(
    ending: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = ending("freezes")
    monkeypatch.setattr(ray_process, "_SHUTDOWN_S", PATIENCE_S)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(executor, [], interrupt)
    assert time.monotonic() - began < PATIENCE_S


def test_an_interrupt_takes_less_than_batch_systems_leave_for_it() -> None:
    assert ray_process._INTERRUPTED_S + ray_process._SHUTDOWN_S < 30


def test_an_interrupt_between_two_records_loses_neither(
    ending: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = ending("completed")
    monkeypatch.setattr(ray_process, "_INTERRUPTED_S", PATIENCE_S)
    with executor:
        records = executor.run(BLOCKS, Limits(60.0, skip_reason=_reason), lambda _: None)
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
    with pytest.raises(ResourceError, match="no answer within 3 s"), ending("never ready"):
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


def test_the_skip_reason_is_renewed_after_each_record(ending: Ending, marks: list[str]) -> None:
    limits = Limits(60.0, skip_reason=_reason)
    events: list[Event] = []
    with ending("completed") as executor:
        records = list(executor.run(BLOCKS, limits, events.append))
    assert [record.error for record in records] == [None, "told"]
    assert [type(event) for event in events] == [TrialStart, EpochEnd]
    # It did not leave, and was not waited for without end.
    assert [marked_processes(mark) for mark in marks] == [[]]


def test_a_further_request_runs_in_the_same_process(ending: Ending) -> None:
    with ending("completed") as executor:
        runs = [list(executor.run([block], LIMITS, lambda _: None)) for block in TWO_BLOCKS]
    assert [run[0].trial for run in runs] == [block.trials[0] for block in TWO_BLOCKS]


@pytest.mark.slow
def test_ray_runs_the_blocks_of_one_request_after_another() -> None:
    with RayProcess() as executor:
        records = [r for b in TWO_BLOCKS for r in executor.run([b], LIMITS, lambda _: None)]
    assert [record.status for record in records] == ["completed"] * 2
    assert [record.trial for record in records] == [block.trials[0] for block in TWO_BLOCKS]


@pytest.mark.slow
def test_a_raylet_that_stops_ends_the_run_with_its_records_without_a_signal(
    marks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_process, "module_command", lambda _: [sys.executable, "-c", IMPATIENT])
    stopped, records = list[psutil.Process](), list[TrialRecord]()

    def stop_the_raylet(event: Event) -> None:
        if isinstance(event, EpochEnd) and not stopped:
            # Not below the tests' own process, which may have a Ray for other tests.
            below = psutil.Process(executor._child.process.pid).children(recursive=True)
            stopped.extend(p for p in below if p.name() == "raylet")
            stopped[0].suspend()

    with RayProcess() as executor, pytest.raises(ClusterLostError):
        for record in executor.run(make_plan(suite_of(ENDLESS)).blocks, LIMITS, stop_the_raylet):
            records.append(record)
    (record,) = records
    assert record.status == FAULTS["raylet silent"].status
    assert record.epochs
    assert [marked_processes(mark) for mark in marks] == [[]]


def test_the_folder_of_a_local_ray_goes_with_its_process(
    ending: Ending, marks: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ending("is killed")
    monkeypatch.setattr(ray_process, "usable_folder", lambda: tmp_path)
    executor = RayProcess()
    with pytest.raises(ClusterLostError), executor:
        (folder,) = tmp_path.iterdir()
        assert folder.name.startswith(PREFIX)
        list(executor.run(BLOCKS, LIMITS, lambda _: None))
    assert [marked_processes(mark) for mark in marks] == [[]]
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_cuts_no_message_in_two() -> None:
    own, its = socket.socketpair()
    arrived: list[object] = []
    with Connection(own.detach()) as run, Connection(its.detach()) as child:

        def interrupt_and_hear() -> None:
            select.select([run], [], [])
            os.kill(os.getpid(), signal.SIGINT)
            arrived.append(run.recv())

        reader = threading.Thread(target=interrupt_and_hear)
        reader.start()
        with pytest.raises(KeyboardInterrupt):
            RunPipe(child).send(LARGE)
        child.close()
        reader.join()
    assert arrived == [LARGE]


def test_messages_of_two_threads_do_not_mix() -> None:
    own, its = socket.socketpair()
    messages = [bytes([number]) * 2**20 for number in range(4)]
    with Connection(own.detach()) as run, Connection(its.detach()) as child:
        pipe = RunPipe(child)
        threads = [threading.Thread(target=pipe.send, args=[message]) for message in messages]
        for thread in threads:
            thread.start()
        arrived = [run.recv() for _ in messages]
        for thread in threads:
            thread.join()
    assert sorted(arrived) == messages


def interrupt(event: Event) -> None:
    """Ctrl-C, soon after an epoch has ended."""
    if isinstance(event, EpochEnd):
        threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT]).start()


def _reason(_trial: object) -> str:
    return "told"
