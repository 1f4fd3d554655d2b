"""Redirect a worker's output to a log, and read the log after the worker has ended.

Usage:
    log = redirect_output(folder)      # in the worker, whose later output goes there
    log = make_log(folder)             # for the output of another process
    contents = take_worker_log(log)    # on its node, in any process

A worker imports this module before anything else, so it must import nothing heavy.
"""

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class WorkerLog:
    """What a worker has left on its node."""

    log_tail: str | None
    oom_kills: int | None
    """Processes that the kernel has killed so far at the control group's memory limit."""
    epochs: tuple[str, ...] = ()
    """The epochs that it has finished, as JSON."""


def redirect_output(folder: Path | None) -> str:
    """Redirect this process's output, including that of C++ code, to a new file; return its path.

    The file is in ``folder``, or in the system's folder for temporary files if that is None.
    """
    handle, path = tempfile.mkstemp(prefix="bench-worker-", suffix=".log", dir=folder)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, closefd=False)
    return path


def make_log(folder: Path | None) -> str:
    """Make an empty log in ``folder``, as ``redirect_output`` does, and return its path."""
    handle, path = tempfile.mkstemp(prefix="bench-worker-", suffix=".log", dir=folder)
    os.close(handle)
    return path


def take_worker_log(log: str) -> WorkerLog:
    """Return what a worker left on this node, and delete its files."""
    from bench.execution.ray_backend.workers.epoch_log import epoch_lines, remove_epochs
    from bench.files.log_tail import end_of_log, tail_text
    from bench.measure.host import cgroup_oom_kills

    try:
        content = end_of_log(Path(log))
        Path(log).unlink()
    except OSError:
        content = b""
    epochs = epoch_lines(log)
    remove_epochs(log)
    return WorkerLog(tail_text(content), cgroup_oom_kills(), epochs)
