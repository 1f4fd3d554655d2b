"""The processes that inherited a mark: all that one process has started, directly or not.

Usage:
    subprocess.Popen(command, env={**os.environ, **inherited_mark(mark)})
    kill_marked(mark, timeout_s=5.0)

A variable is inherited by whatever is started later, and outlives the parents, groups and
sessions by which processes are found otherwise.
"""

import contextlib
import os
import time

import psutil

_MARK = "BENCH_STARTED_BY"
_POLL_S = 0.05


def inherited_mark(mark: str) -> dict[str, str]:
    """Variables for a process whose descendants are to have ``mark``."""
    # By SPT_NOENV, setproctitle, which Ray uses too, leaves the variables where they can be read.
    return {_MARK: mark, "SPT_NOENV": "1"}


def marked_processes(mark: str) -> list[psutil.Process]:
    """The living processes whose environment has ``mark``, but this one."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if (
                process.pid != os.getpid()
                and process.environ().get(_MARK) == mark
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
    return found


def kill_marked(mark: str, timeout_s: float) -> bool:
    """Kill them, and what they start meanwhile, until none is left; whether none was in time."""
    ends = time.monotonic() + timeout_s
    while left := marked_processes(mark):
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if time.monotonic() > ends:
            return False
        time.sleep(_POLL_S)
    return True
