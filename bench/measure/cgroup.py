"""Read the limits that a container or a job scheduler sets on this process through cgroups.

Usage:
    quota_cores()       # 1.5, or None without a limit
    throttled_s()       # how long that quota has throttled the group so far
    memory_limit_bytes()
    memory_left_bytes(), processes_left()
    oom_kills()

Reads cgroup versions 1 and 2. A limit is the tightest of those of this process's group and its
parents. ``root`` is the root of the file system; tests pass a folder.
"""

from pathlib import Path

_ROOT = Path("/")
_NO_LIMIT_BYTES = 1 << 60
"""Version 1 writes "no limit" as the largest multiple of the page size."""

_THROTTLED = {"throttled_usec": 1e-6, "throttled_time": 1e-9}


def quota_cores(root: Path = _ROOT) -> float | None:
    """Return the CPU time per second that the group may use, in cores; None without a limit."""
    quotas = [_quota(folder) for folder in _groups("cpu", root)]
    return min((quota for quota in quotas if quota is not None), default=None)


def throttled_s(root: Path = _ROOT) -> float | None:
    """Return for how long quotas have throttled the group so far; None if not counted.

    This is the time that runnable threads waited, summed over cores: "throttled_usec" of version 2,
    "throttled_time" (nanoseconds) of version 1. Quotas of parent groups count, too.
    """
    waits_s = []
    for folder in _groups("cpu", root):
        for line in (read(folder / "cpu.stat") or "").splitlines():
            key, _, count = line.partition(" ")
            if key in _THROTTLED and count.isdigit():
                waits_s.append(int(count) * _THROTTLED[key])
    return sum(waits_s) if waits_s else None


def memory_limit_bytes(root: Path = _ROOT) -> int | None:
    """Return the memory that the group may hold; None without a limit."""
    limits = (_memory_limit_bytes(folder) for folder in _groups("memory", root))
    return min((limit for limit in limits if limit is not None), default=None)


def memory_left_bytes(root: Path = _ROOT) -> int | None:
    """Return the memory that the group may still allocate; None without a limit.

    File caches count as free, because the kernel drops them under pressure.
    """
    remaining = [
        limit - (_allocated_bytes(folder) or 0)
        for folder in _groups("memory", root)
        if (limit := _memory_limit_bytes(folder)) is not None
    ]
    return max(0, min(remaining)) if remaining else None


def processes_left(root: Path = _ROOT) -> int | None:
    """Return how many processes and threads the group may still start; None without a limit."""
    remaining = []
    for folder in _groups("pids", root):
        limit, current = read(folder / "pids.max"), read(folder / "pids.current")
        if limit and limit.isdigit():
            remaining.append(int(limit) - int(current or 0))
    return max(0, min(remaining)) if remaining else None


def oom_kills(root: Path = _ROOT) -> int | None:
    """Return how many processes of the group the out-of-memory killer has killed so far.

    Without a group, this is the count of the whole machine; None if the kernel keeps neither.
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
    """Return the stripped text of a kernel file; None if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _memory_limit_bytes(folder: Path) -> int | None:
    texts = (read(folder / name) for name in ("memory.max", "memory.limit_in_bytes"))
    limits = [int(text) for text in texts if text and text.isdigit()]
    return min((limit for limit in limits if limit < _NO_LIMIT_BYTES), default=None)


def _allocated_bytes(folder: Path) -> int | None:
    """Return the anonymous memory of a group ("anon", in version 1 "total_rss")."""
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
    # Version 2 writes "no limit" as "max", version 1 as -1.
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _groups(controller: str, root: Path) -> list[Path]:
    """Return the folders of this process's group and its parents, innermost first."""
    group_paths: dict[str, str] = {}
    for line in (read(root / "proc/self/cgroup") or "").splitlines():
        _, names, path = line.split(":", 2)
        group_paths |= {name: path.lstrip("/") for name in names.split(",")}
    base = root / "sys/fs/cgroup"
    if controller in group_paths:
        base = base / controller
    group = base / group_paths.get(controller, group_paths.get("", ""))
    if not group.is_dir():
        # In a container, the path may be the host's; the container's group is then the top folder.
        group = base
    return [group, *(parent for parent in group.parents if parent.is_relative_to(base))]
