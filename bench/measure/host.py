"""This process and the machine under it: cores, memory, the most that was used.

Usage:
    usable_cores()      # how many threads may run at once, never below 1
    peak_rss_bytes()    # at the end of a trial
"""

import contextlib
import os
import resource
from pathlib import Path

import psutil

from bench.measure import cgroup


def usable_cores() -> int:
    """Whole cores that this process may use: its affinity, cut by the group's quota.

    A quota is rounded down: a thread more than it allows would be stopped and started by the
    kernel, which shows in every timing.
    """
    quota = cgroup.quota_cores()
    allowed = len(affinity())
    return max(1, allowed if quota is None else min(allowed, int(quota)))


def affinity() -> tuple[int, ...]:
    """Numbers of the logical cores that the scheduler may put this process on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(psutil.cpu_count() or 1))


def memory_bytes() -> int:
    """Memory that this process may count on: the machine's, cut by the group's limit."""
    limit = cgroup.memory_limit_bytes()
    total = int(psutil.virtual_memory().total)
    return total if limit is None else min(total, limit)


def memory_left_bytes() -> int | None:
    """Memory that the group of this process may still allocate; None without a limit."""
    return cgroup.memory_left_bytes()


def address_space_bytes() -> int | None:
    """Virtual memory that each process may map (RLIMIT_AS, ``ulimit -v``); None without a limit."""
    return _soft_limit(resource.RLIMIT_AS)


def processes_left() -> int | None:
    """Processes and threads that this process's group may still start; None without a limit."""
    return cgroup.processes_left()


def user_processes_left() -> int | None:
    """The same by RLIMIT_NPROC (``ulimit -u``), which binds nobody with the rights of root."""
    limit = _soft_limit(resource.RLIMIT_NPROC)
    if limit is None or os.geteuid() == 0:
        return None
    own = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == os.getuid():
                own += process.num_threads()
    return max(0, limit - own)


def _soft_limit(kind: int) -> int | None:
    soft, _ = resource.getrlimit(kind)
    return None if soft == resource.RLIM_INFINITY else soft


def cgroup_oom_kills() -> int | None:
    """Processes around this one killed for want of memory so far; None where not counted.

    A rise across a trial whose process was killed says why.
    """
    return cgroup.oom_kills()


def peak_rss_bytes(status: Path = Path("/proc/self/status")) -> int | None:
    """The most memory that this process has held at once; None where the kernel keeps none.

    VmHWM of proc(5), since ``getrusage`` starts a child off with its parent's peak.
    """
    for line in (cgroup.read(status) or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def session_pids(leader: int) -> tuple[int, ...]:
    """Processes still in the session that ``leader`` began, whatever group they moved to."""
    return tuple(pid for pid in psutil.pids() if _session_of(pid) == leader)


def kill_descendants(word: str) -> None:
    """Kill the processes below this one whose command line holds ``word``, and all below those."""
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
