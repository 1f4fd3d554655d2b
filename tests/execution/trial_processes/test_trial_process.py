"""A holder sees what a trial process sends and exactly how it ends, whatever that is."""

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from bench.execution.trial_processes.process_failure import process_failure
from bench.execution.trial_processes.trial_process import TrialProcess, wait_for_messages
from bench.protocol.messages import Message, TrialEnd, TrialStarted, Turn, TurnEnd
from tests.support.processes import survivors_after

PATIENCE_S = 60.0
Start = Callable[[str], TrialProcess]


def messages_of(process: TrialProcess) -> list[Message]:
    """Return all that the process sends, to its end."""
    return list(iter(lambda: process.receive(PATIENCE_S), None))


def test_a_trial_is_started_and_sends_its_record(start: Start) -> None:
    process = start("complete")
    started, end = messages_of(process)
    assert isinstance(started, TrialStarted)
    assert (started.pid, started.process_start) == (process.pid, "fork")
    assert isinstance(end, TrialEnd)
    assert end.record.status == "completed"
    ended = process.exit(PATIENCE_S)
    assert (ended.code, ended.preloader_code) == (0, None)
    assert ended.peak_rss_bytes is not None
    assert ended.peak_rss_bytes > 2**20
    assert ended.cpu_s is not None


@pytest.mark.parametrize(
    ("action", "code", "status", "reason"),
    [
        ("exit:3", 3, "failed", "its process exited with code 3 and sent no record"),
        ("exit:0", 0, "failed", "its process exited with code 0 and sent no record"),
        ("raise", 1, "failed", "its process exited with code 1 and sent no record"),
        ("signal:SIGKILL", -9, "worker_lost", "its process was killed by SIGKILL"),
        ("signal:SIGTERM", -15, "worker_lost", "its process was killed by SIGTERM"),
        ("signal:SIGSEGV", -11, "worker_lost", "its process crashed with SIGSEGV"),
        ("signal:SIGABRT", -6, "worker_lost", "its process crashed with SIGABRT"),
        ("write:rubbish", -9, "failed", "its process sent invalid JSON: '\\x00\\xff rubbish'"),
        ("write:version", -9, "failed", "its process sent protocol 9, but this process speaks 2"),
        (
            "write:half",
            0,
            "failed",
            "its process sent the first 24 bytes of a message, then an end",
        ),
        ("write:torn", -11, "worker_lost", "its process crashed with SIGSEGV"),
        ("write:long", -9, "failed", "its process sent a line of more than 67108864 bytes"),
    ],
)
def test_an_end_without_a_record_has_its_reason(
    start: Start, action: str, code: int, status: str, reason: str
) -> None:
    process = start(action)
    assert [type(message) for message in messages_of(process)] == [TrialStarted]
    ended = process.exit(PATIENCE_S)
    assert ended.code == code
    assert process_failure(ended, process.fault) == (status, reason)


def test_a_process_that_hangs_is_killed(start: Start) -> None:
    process = start("hang")
    assert isinstance(process.receive(PATIENCE_S), TrialStarted)
    with pytest.raises(TimeoutError):
        process.receive(0.05)
    with pytest.raises(TimeoutError, match="still runs"):
        process.exit(0.0)
    process.kill()
    assert process.exit(PATIENCE_S).code == -signal.SIGKILL
    assert not psutil.pid_exists(process.pid)
    process.kill()


def test_a_stopped_process_is_killed(start: Start) -> None:
    process = start("hang")
    os.kill(process.pid, signal.SIGSTOP)
    process.kill()
    assert process.exit(PATIENCE_S).code == -signal.SIGKILL


def test_what_a_process_has_started_ends_with_it(start: Start) -> None:
    process = start("helper")
    assert isinstance(messages_of(process)[-1], TrialEnd)
    assert process.exit(PATIENCE_S).code == 0
    assert survivors_after(PATIENCE_S, process.pid) == []


def test_one_thread_watches_several_processes(start: Start) -> None:
    processes = {start(action): action for action in ("turns", "complete", "exit:3")}
    seen: dict[str, list[object]] = {action: [] for action in processes.values()}
    watched = set(processes)
    while watched:
        for process in wait_for_messages(watched, PATIENCE_S):
            message = process.receive(PATIENCE_S)
            seen[processes[process]].append(message and type(message))
            if message is None:
                watched.remove(process)
            elif isinstance(message, TurnEnd):
                process.send(Turn(round=0, epoch=0, until_share=message.share + 0.5))
    assert seen == {
        "turns": [TrialStarted, TurnEnd, TurnEnd, TrialEnd, None],
        "complete": [TrialStarted, TrialEnd, None],
        "exit:3": [TrialStarted, None],
    }


def test_a_process_that_has_ended_gets_no_message(start: Start) -> None:
    process = start("exit:3")
    process.exit(PATIENCE_S)
    process.send(Turn(round=0, epoch=0, until_share=1.0))
    assert process.exit(PATIENCE_S).code == 3


def test_closing_ends_the_process_and_frees_its_descriptors(start: Start) -> None:
    process = start("hang")
    (pidfd,) = pidfds_of(process.pid)
    assert process.fileno() >= 0
    assert process.close().code == -signal.SIGKILL
    assert process.close().code == -signal.SIGKILL
    assert process.fileno() == -1
    assert not pidfd.exists() or "Pid:" not in pidfd.read_text()


def pidfds_of(pid: int) -> list[Path]:
    """Return what the kernel says of each descriptor of this process that refers to ``pid``."""
    found = []
    for info in Path("/proc/self/fdinfo").iterdir():
        with contextlib.suppress(OSError):  # another thread may close its own meanwhile
            if f"Pid:\t{pid}\n" in info.read_text():
                found.append(info)
    return found
