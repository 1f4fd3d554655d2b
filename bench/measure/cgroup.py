"""Limits that a container or a job scheduler put on this process, read from its cgroups.

Usage:
    quota_cores()       # 1.5, or None where there is no limit
    throttled_s()       # how long that quota has held the group back so far
    memory_limit_bytes()
    memory_left_bytes(), processes_left()
    oom_kills()

Versions 1 and 2 are read. A limit is the tightest of this process's group and those around
it. ``root`` is where the file system is looked at from, "/" unless a test has its own.
"""

from pathlib import Path

_ROOT = Path("/")
_NO_LIMIT_BYTES = 1 << 60
"""Version 1 writes no limit as the largest multiple of the page size."""

_THROTTLED = {"throttled_usec": 1e-6, "throttled_time": 1e-9}


def quota_cores(root: Path = _ROOT) -> float | None:
    """CPU time a second that the group may use, in cores; None without a limit."""
    quotas = [_quota(folder) for folder in _groups("cpu", root)]
    return min((quota for quota in quotas if quota is not None), default=None)


def throttled_s(root: Path = _ROOT) -> float | None:
    """CPU time for which quotas have held the group back so far; None where none is counted.

    That is what its runnable threads waited, core by core ("throttled_usec" of version 2,
    "throttled_time", in nanoseconds, of version 1), for quotas of the groups around it, too.
    """
    found = []
    for folder in _groups("cpu", root):
        for line in (read(folder / "cpu.stat") or "").splitlines():
            key, _, count = line.partition(" ")
            if key in _THROTTLED and count.isdigit():
                found.append(int(count) * _THROTTLED[key])
    return sum(found) if found else None


def memory_limit_bytes(root: Path = _ROOT) -> int | None:
    """Memory that the group may hold; None without a limit."""
    limits = (_memory_limit_bytes(folder) for folder in _groups("memory", root))
    return min((limit for limit in limits if limit is not None), default=None)


def memory_left_bytes(root: Path = _ROOT) -> int | None:
    """What the group may still allocate; None without a limit.

    File caches count as free, since the kernel drops them under pressure.
    """
    left = [
        limit - (_allocated_bytes(folder) or 0)
        for folder in _groups("memory", root)
        if (limit := _memory_limit_bytes(folder)) is not None
    ]
    return max(0, min(left)) if left else None


def processes_left(root: Path = _ROOT) -> int | None:
    """Processes and threads that the group may still start; None without a limit."""
    left = []
    for folder in _groups("pids", root):
        limit, current = read(folder / "pids.max"), read(folder / "pids.current")
        if limit and limit.isdigit():
            left.append(int(limit) - int(current or 0))
    return max(0, min(left)) if left else None


def oom_kills(root: Path = _ROOT) -> int | None:
    """Processes of the group that the kernel has killed for want of memory so far.

    The whole machine's count where there is no group; None where neither is kept.
    """
    groups = _groups("memory", root)[:1]
    files = [folder / name for folder in groups for name in ("memory.events", "memory.oom_control")]
    for file in (*files, root / "proc/vmstat"):
        for line in (read(file) or "").splitlines():
            key, _, count = line.partition(" ")
            if key == "oom_kill":
                return int(count)
    return None


def read(path: Path) -> str | None:
    """The text of a file of the kernel's, stripped; None where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _memory_limit_bytes(folder: Path) -> int | None:
    texts = (read(folder / name) for name in ("memory.max", "memory.limit_in_bytes"))
    limits = [int(text) for text in texts if text and text.isdigit()]
    return min((limit for limit in limits if limit < _NO_LIMIT_BYTES), default=None)


def _allocated_bytes(folder: Path) -> int | None:
    """Anonymous memory of the group and those below it: "anon" in version 2, "total_rss" in 1."""
    for line in (read(folder / "memory.stat") or "").splitlines():
        key, _, count = line.partition(" ")
        if key in ("anon", "total_rss"):
            return int(count)
    return None


def _quota(folder: Path) -> float | None:
    text = read(folder / "cpu.max")
    if text is None:
        text = f"{read(folder / 'cpu.cfs_quota_us')} {read(folder / 'cpu.cfs_period_us')}"
    quota, _, period = text.partition(" ")
    # "max" in version 2 and -1 in version 1 stand for no limit.
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _groups(controller: str, root: Path) -> list[Path]:
    """Folders of this process's group and of those around it, innermost first."""
    own: dict[str, str] = {}
    for line in (read(root / "proc/self/cgroup") or "").splitlines():
        _, names, path = line.split(":", 2)
        own |= {name: path.lstrip("/") for name in names.split(",")}
    base = root / "sys/fs/cgroup"
    if controller in own:
        base = base / controller
    group = base / own.get(controller, own.get("", ""))
    if not group.is_dir():
        # Inside a container the path may be the host's, and the container's own group the top.
        group = base
    return [group, *(parent for parent in group.parents if parent.is_relative_to(base))]
