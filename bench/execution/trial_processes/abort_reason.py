"""Read in the log of a process that aborted why its library ended it.

Usage:
    failure = abort_reason(log_tail, refusable=True)

The kernel reports that a process aborted or exited, but only the library's last line says why.
"""

import re

from bench.execution.trial_environment.xla_flags import refused_flags
from bench.records.trial_failure import TrialFailure

_MEMORY = ("bad_alloc", "Out of memory", "ResourceExhausted", "RESOURCE_EXHAUSTED")
_TENSORFLOW_ABORTS = re.compile(r"^F\d{4} .*|.*\] Check failed: .*|^F0000 .*", re.MULTILINE)
_HARDWARE_ABORT = re.compile(r"cuda|cudnn|nccl|coordination|grpc|heartbeat", re.IGNORECASE)
"""An abort that names one of these is a fault of a device or connection, not a refused program."""
_MAX_REASON = 500


def abort_reason(tail: str, *, refusable: bool) -> TrialFailure | None:
    """Return why a process aborted, according to the ``tail`` of its log; None if that is silent.

    ``refusable`` says that TensorFlow may refuse the trial's program and has finished no epoch of
    it: if TensorFlow aborted its process, it cannot run the program.
    """
    if flags := refused_flags(tail):
        return TrialFailure("failed", one_line(flags))
    if any(sign in tail for sign in _MEMORY):
        reason = "its process ran out of memory, according to its log"
        return TrialFailure("out_of_memory", reason)
    aborted = _TENSORFLOW_ABORTS.search(tail) if refusable else None
    if aborted and not _HARDWARE_ABORT.search(aborted.group()):
        return TrialFailure("unsupported", one_line(f"TensorFlow aborted: {aborted.group()}"))
    return None


def one_line(text: str) -> str:
    """Return ``text`` as one line of at most 500 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines)[:_MAX_REASON]
