"""Derive a trial's status from how its process ended.

Usage:
    failure = process_failure(process.exit(timeout_s=5.0), process.fault, oom_kills)
    failure.status, failure.reason         # "out_of_memory", "the kernel ended its process ..."
"""

import signal
from typing import NamedTuple

from bench.execution.trial_processes.trial_process import ProcessExit
from bench.process_exit import signal_name
from bench.records.trial_record import Status

_CRASHES = frozenset(
    {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGTRAP}
)
"""Signals that a process gets for a fault of its own."""


class ProcessFailure(NamedTuple):
    """The status of a trial whose process ended without a record, and why, in one line."""

    status: Status
    reason: str


def process_failure(
    ended: ProcessExit, fault: str | None = None, oom_kills: int | None = None
) -> ProcessFailure:
    """Return the failure of a trial whose process sent no record.

    ``fault`` is what was wrong with a message of the process, which was then killed. ``oom_kills``
    is the increase of ``bench.measure.host.cgroup_oom_kills`` during the trial; None if unknown.
    """
    if fault is not None:
        return ProcessFailure("failed", f"its process sent {fault}")
    if ended.code == -signal.SIGKILL and oom_kills:
        reason = "the kernel ended its process at the memory limit of its group"
        return ProcessFailure("out_of_memory", reason)
    if ended.preloader_code is not None:
        how = _how(ended.preloader_code)
        return ProcessFailure("worker_lost", f"the process that started it {how}")
    if ended.code < 0:
        return ProcessFailure("worker_lost", f"its process {_how(ended.code)}")
    return ProcessFailure("failed", f"its process {_how(ended.code)} and sent no record")


def _how(code: int) -> str:
    name = signal_name(code)
    if name is None:
        return f"exited with code {code}"
    return f"{'crashed with' if -code in _CRASHES else 'was killed by'} {name}"
