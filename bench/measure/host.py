"""Measure this process and its machine: usable cores, memory limits and peak memory.

Usage:
    usable_cores()      # how many threads may run at once, never below 1
    peak_rss_bytes()    # at the end of a trial
"""

import contextlib
import os
import resource
import signal
import subprocess
from pathlib import Path

import psutil

from bench.measure import cgroup


def usable_cores() -> int:
    """Return the cores that this process may use: its affinity, limited by the group's quota.

    A quota is rounded down: with one thread more, the kernel would throttle the process, which
    distorts every timing.
    """
    quota = cgroup.quota_cores()
    allowed = len(affinity())
    return max(1, allowed if quota is None else min(allowed, int(quota)))


def affinity() -> tuple[int, ...]:
    """Return the numbers of the logical cores that the kernel may run this process on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(psutil.cpu_count() or 1))


def memory_bytes() -> int:
    """Return the memory available to this process: the machine's, limited by the group's limit."""
    limit = cgroup.memory_limit_bytes()
    total = int(psutil.virtual_memory().total)
    return total if limit is None else min(total, limit)


def memory_left_bytes() -> int | None:
    """Return the memory that this process's group may still allocate; None without a limit."""
    return cgroup.memory_left_bytes()


def available_memory_bytes() -> int:
    """Return the memory that new processes may use: the machine's, limited by the group's."""
    available, left = int(psutil.virtual_memory().available), cgroup.memory_left_bytes()
    return available if left is None else min(available, left)


def address_space_bytes() -> int | None:
    """Return the virtual memory that a process may map (RLIMIT_AS, ``ulimit -v``), or None."""
    return _soft_limit(resource.RLIMIT_AS)


def processes_left() -> int | None:
    """Return how many processes and threads this process's group may still start, or None."""
    return cgroup.processes_left()


def user_processes_left() -> int | None:
    """Return the same by RLIMIT_NPROC (``ulimit -u``), which does not apply to root."""
    limit = _soft_limit(resource.RLIMIT_NPROC)
    if limit is None or os.geteuid() == 0:
        return None
    threads = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == os.getuid():
                threads += process.num_threads()
    return max(0, limit - threads)


def _soft_limit(kind: int) -> int | None:
    soft, _ = resource.getrlimit(kind)
    return None if soft == resource.RLIM_INFINITY else soft


def cgroup_oom_kills() -> int | None:
    """Return how many processes of this group the out-of-memory killer has killed, or None.

    If the count rises during a trial whose process was killed, that is why.
    """
    return cgroup.oom_kills()


def peak_rss_bytes(status: Path = Path("/proc/self/status")) -> int | None:
    """Return the peak memory of this process; None if the kernel does not record it.

    Reads VmHWM of proc(5), because ``getrusage`` starts a child with its parent's peak.
    """
    for line in (cgroup.read(status) or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def session_pids(leader: int) -> tuple[int, ...]:
    """Return the processes in the session that ``leader`` began, in any process group."""
    return tuple(pid for pid in psutil.pids() if _session_of(pid) == leader)


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill the session that ``process`` began, and wait until the process is gone."""
    # Twice, because a process may start another while it is being killed.
    for _ in range(2):
        for pid in session_pids(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def kill_descendants(word: str) -> None:
    """Kill the children whose command line contains ``word``, and all their descendants."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if word in " ".join(child.cmdline()):
                    for process in (*child.children(recursive=True), child):
                        with contextlib.suppress(psutil.Error):
                            process.kill()


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None
