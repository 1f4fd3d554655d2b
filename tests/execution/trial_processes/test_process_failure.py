"""A trial's failure follows from how its process ended."""

import signal

import pytest

from bench.execution.trial_processes.process_failure import process_failure
from bench.execution.trial_processes.trial_process import ProcessExit

KILLED = ProcessExit(-signal.SIGKILL)


@pytest.mark.parametrize(
    ("oom_kills", "status"), [(1, "out_of_memory"), (0, "worker_lost"), (None, "worker_lost")]
)
def test_a_kill_is_for_memory_only_if_the_group_was_at_its_limit(
    oom_kills: int | None, status: str
) -> None:
    assert process_failure(KILLED, oom_kills=oom_kills).status == status


def test_another_process_that_ran_out_of_memory_is_no_reason() -> None:
    assert process_failure(ProcessExit(-signal.SIGSEGV), oom_kills=1).status == "worker_lost"
    assert process_failure(ProcessExit(1), oom_kills=1).status == "failed"


@pytest.mark.parametrize(
    ("code", "words"),
    [(-9, "was killed by SIGKILL"), (3, "exited with code 3"), (-40, "was killed by signal 40")],
)
def test_a_process_that_ended_with_its_preloader_says_so(code: int, words: str) -> None:
    ended = ProcessExit(-signal.SIGKILL, preloader_code=code)
    reason = f"the process that started it {words}"
    assert process_failure(ended, oom_kills=0) == ("worker_lost", reason)
    assert process_failure(ended, oom_kills=1) == ("worker_lost", reason)


def test_a_real_time_signal_has_a_reason() -> None:
    assert process_failure(ProcessExit(-40)).reason == "its process was killed by signal 40"
