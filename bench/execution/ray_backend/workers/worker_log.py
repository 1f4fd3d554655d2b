"""Redirect a worker's output to a log, and read the log after the worker has ended.

Usage:
    log = redirect_output(folder)      # in the worker, whose later output goes there
    contents = read_worker_log(log)    # on its node, in any process

A worker imports this module before anything else, so it must import nothing heavy.
"""

import os
import re
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

TAIL_BYTES = 4_000
_READ_BYTES = 2**20
"""Size of the log's end that is searched for the line on which the process ended."""
_FATAL = re.compile(rb"(?:^E\d{4} .{,1000}\n)?^F\d{4} .{,1000}(?:\nusage: .{,100})?", re.MULTILINE)
"""The line with which TensorFlow ends its process, and the lines around it that give the context.
"""


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


def read_worker_log(log: str) -> WorkerLog:
    """Return what a worker left on this node, and delete its files."""
    from bench.execution.ray_backend.workers.epoch_log import epoch_lines, remove_epochs
    from bench.measure.host import cgroup_oom_kills

    try:
        content = _end_of_log(log)
        Path(log).unlink()
    except OSError:
        content = b""
    tail = content[-TAIL_BYTES:]
    # More output, for example a list of all flags, may follow the fatal line.
    if fatal := _FATAL.search(content[:-TAIL_BYTES]):
        tail = fatal.group() + b"\n...\n" + tail
    text = tail.decode(errors="replace").strip() or None
    epochs = epoch_lines(log)
    remove_epochs(log)
    return WorkerLog(text, cgroup_oom_kills(), epochs)


def _end_of_log(log: str) -> bytes:
    """Return the end of a log; OSError if the file is not a regular file of this user.

    A Ray that this package has not started keeps its logs in a folder where any user can replace a
    log by a link to another file.
    """
    handle = os.open(log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        is_regular = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
        if not (is_regular and status.st_uid == os.getuid()):
            raise PermissionError(f"{log} is not this user's log")
        file.seek(max(0, status.st_size - _READ_BYTES))
        return file.read(_READ_BYTES)
