"""Find and kill the processes that inherited a mark: all descendants of a marked process.

Usage:
    subprocess.Popen(command, env={**os.environ, **inherited_mark(mark)})
    kill_marked(mark, timeout_s=5.0)

The mark is an environment variable. Descendants inherit it, and keep it after their parents,
groups and sessions are gone.
"""

import contextlib
import os
import time

import psutil

_MARK = "BENCH_STARTED_BY"
_POLL_S = 0.05


def inherited_mark(mark: str) -> dict[str, str]:
    """Return the environment variables that mark a process and its descendants."""
    # SPT_NOENV: setproctitle, which Ray uses, would otherwise overwrite the environment.
    return {_MARK: mark, "SPT_NOENV": "1"}


def marked_processes(mark: str) -> list[psutil.Process]:
    """Return the living processes that have ``mark``, except this process."""
    marked = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if (
                process.pid != os.getpid()
                and process.environ().get(_MARK) == mark
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                marked.append(process)
    return marked


def kill_marked(mark: str, timeout_s: float) -> bool:
    """Kill all marked processes, also new ones, until none remains; return False on timeout."""
    deadline = time.monotonic() + timeout_s
    while remaining := marked_processes(mark):
        for process in remaining:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
