"""A worker's log, and what is found on its node once it has died.

Usage:
    log = redirect_output(folder)      # in the worker, whose output goes there from then on
    left = read_worker_log(log)  # on its node, from another process, or from its own at the end

Its process imports it first of all, so that nothing heavy is loaded here.
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
"""Of a log's end, in which the line is looked for that a process ended on."""
_FATAL = re.compile(rb"(?:^E\d{4} .{,1000}\n)?^F\d{4} .{,1000}(?:\nusage: .{,100})?", re.MULTILINE)
"""Where TensorFlow ends its process: that line, with those around it that say of what it speaks."""


@dataclass(frozen=True)
class WorkerLog:
    """What is found on a node after a worker has died there."""

    log_tail: str | None
    oom_kills: int | None
    """Processes that the kernel has ended so far at the memory limit of its group."""
    epochs: tuple[str, ...] = ()
    """The epochs that it had finished, as JSON."""


def redirect_output(folder: Path | None) -> str:
    """Send this process's output, that of its C++ code included, to a file of its own.

    In ``folder``, or the system's for temporary files.
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
    """What a worker left on this node, from which its files are then gone."""
    from bench.execution.ray_backend.epoch_log import epoch_lines, remove_epochs
    from bench.measure.host import cgroup_oom_kills

    try:
        content = _own_end(log)
        Path(log).unlink()
    except OSError:
        content = b""
    tail = content[-TAIL_BYTES:]
    # A list of all flags, say, may come after what a process ended on.
    if fatal := _FATAL.search(content[:-TAIL_BYTES]):
        tail = fatal.group() + b"\n...\n" + tail
    said = tail.decode(errors="replace").strip() or None
    epochs = epoch_lines(log)
    remove_epochs(log)
    return WorkerLog(said, cgroup_oom_kills(), epochs)


def _own_end(log: str) -> bytes:
    """The end of a log; OSError where what is there now is not a file of this user's own.

    A Ray that this package has not started keeps logs in a folder in which every user may put a
    link to some other file in a log's place.
    """
    handle = os.open(log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        own = stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid() and found.st_nlink == 1
        if not own:
            raise PermissionError(f"{log} is not this user's log")
        file.seek(max(0, found.st_size - _READ_BYTES))
        return file.read(_READ_BYTES)
