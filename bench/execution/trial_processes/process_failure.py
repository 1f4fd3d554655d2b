"""Derive a trial's status from how its process ended.

Usage:
    failure = process_failure(process.exit(timeout_s=5.0), process.fault, oom_kills)
    failure.status, failure.reason         # "out_of_memory", "the kernel killed its process ..."
"""

import signal

from bench.execution.trial_processes.trial_process import ProcessExit
from bench.process_exit import signal_name
from bench.records.trial_failure import TrialFailure

_CRASHES = frozenset(
    {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGTRAP}
)
"""Signals that a process receives for its own fault."""


def process_failure(
    ended: ProcessExit, fault: str | None = None, oom_kills: int | None = None
) -> TrialFailure:
    """Return the failure of a trial whose process sent no record.

    ``fault`` is what was wrong with a message of the process, which was then killed. ``oom_kills``
    is the increase of ``bench.measure.host.cgroup_oom_kills`` during the trial; None if unknown.
    """
    if fault is not None:
        return TrialFailure("failed", f"its process sent {fault}")
    if ended.preloader_code is not None:
        # All arms of the block end with their preloader: this says nothing about the size of one.
        how = _how(ended.preloader_code)
        return TrialFailure("worker_lost", f"the process that started it {how}")
    if ended.code == -signal.SIGKILL and oom_kills:
        reason = "the kernel killed its process at the memory limit of its control group"
        return TrialFailure("out_of_memory", reason)
    if ended.code < 0:
        return TrialFailure("worker_lost", f"its process {_how(ended.code)}")
    return TrialFailure("failed", f"its process {_how(ended.code)} and sent no record")


def _how(code: int) -> str:
    name = signal_name(code)
    if name is None:
        return f"exited with code {code}"
    return f"{'crashed with' if -code in _CRASHES else 'was killed by'} {name}"
