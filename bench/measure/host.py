"""This process and the machine under it: cores, memory, the most that was used.

Usage:
    usable_cores()      # how many threads may run at once, never below 1
    peak_rss_bytes()    # at the end of a trial
"""

import os
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


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None
