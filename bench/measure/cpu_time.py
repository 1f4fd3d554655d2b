"""CPU time on this machine: what this process had of it, what others and the hypervisor took.

Usage:
    with cpu_time(cores=8) as found:
        train()                          # nothing is sampled meanwhile
    found().taken_share                  # 0.25: at least a quarter of its cores' time was others'

    measure_other_load(interval_s=0.5)              # what else runs now

Times are the kernel's counters (/proc/stat, proc(5)), in ticks of 10 ms.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil

from bench.measure.cgroup import throttled_s
from bench.measure.host import affinity


@dataclass(frozen=True)
class CpuTime:
    """CPU time over a span, in seconds; None where the kernel does not count it."""

    load_average: float
    """Of the machine, over the minute before the span."""
    cpu_s: float
    """Of this process, all its threads."""
    other_cpu_s: float | None
    """Of all other processes on the machine."""
    steal_s: float | None
    """That the hypervisor gave to other machines."""
    taken_share: float | None
    """Part of the time of this process's cores that others had, at least."""
    throttled_s: float | None
    """For which a quota of this process's group held its threads, or others', back."""


@dataclass(frozen=True)
class OtherLoad:
    """What other processes take of the cores that this process may run on."""

    cores: float
    """CPU seconds a second, of all of them."""
    allowed_cores: int
    processes: tuple[tuple[str, int, float], ...]
    """Name, pid and cores of the measure_other_load, the busiest first."""


@dataclass(frozen=True)
class _Reading:
    at_s: float
    own_s: float
    busy_s: float
    steal_s: float
    own_cores_busy_s: float
    """Of the cores that this process may run on, as the next."""
    own_cores_steal_s: float
    throttled_s: float | None


@contextlib.contextmanager
def cpu_time(cores: int) -> Iterator[Callable[[], CpuTime]]:
    """Count over the block for a process that may use so many ``cores``; gives what tells.

    Asked within the block, it tells of the time until then.
    """
    load_average, before = os.getloadavg()[0], _read()
    after: list[_Reading] = []

    def found() -> CpuTime:
        return _between(load_average, before, after[0] if after else _read(), cores)

    try:
        yield found
    finally:
        after.append(_read())


def taken_share(
    other_s: float, steal_s: float, wall_s: float, cores: int, allowed_cores: int
) -> float:
    """Part of ``cores * wall_s`` that others must have had, from 0 to 1.

    ``other_s`` and ``steal_s`` are of the ``allowed_cores`` that this process may run on. Of these,
    others are taken to use first those beyond its ``cores``: trials on different GPUs, each with
    its share of the cores, take nothing of each other's.
    """
    spare_s = max(0, allowed_cores - cores) * wall_s
    whole_s = cores * wall_s
    return min(1.0, max(0.0, other_s + steal_s - spare_s) / whole_s) if whole_s > 0 else 0.0


def measure_other_load(interval_s: float = 0.5, most: int = 3) -> OtherLoad:
    """What others take of the cores that are allowed here, over so many seconds from now."""
    before, started = _by_process(), _read()
    time.sleep(interval_s)
    after, ended = _by_process(), _read()
    span_s = ended.at_s - started.at_s
    busy_s = ended.own_cores_busy_s - started.own_cores_busy_s
    used = busy_s - (ended.own_s - started.own_s)
    took = {key: (s - before[key]) / span_s for key, s in after.items() if key in before}
    ranked = sorted(took.items(), key=lambda item: item[1], reverse=True)
    return OtherLoad(
        cores=max(0.0, used / span_s),
        allowed_cores=len(affinity()),
        processes=tuple((name, pid, cores) for (name, pid), cores in ranked[:most] if cores > 0.05),
    )


def _between(load_average: float, before: _Reading, after: _Reading, cores: int) -> CpuTime:
    wall_s, own_s = after.at_s - before.at_s, after.own_s - before.own_s
    busy_s, throttled = after.busy_s - before.busy_s, None
    if before.throttled_s is not None and after.throttled_s is not None:
        throttled = max(0.0, after.throttled_s - before.throttled_s)
    if busy_s <= 0:  # a sandbox may show counters that stand still
        return CpuTime(load_average, own_s, None, None, None, throttled)
    share = taken_share(
        max(0.0, after.own_cores_busy_s - before.own_cores_busy_s - own_s),
        max(0.0, after.own_cores_steal_s - before.own_cores_steal_s),
        wall_s,
        cores,
        len(affinity()),
    )
    other_s, steal_s = max(0.0, busy_s - own_s), max(0.0, after.steal_s - before.steal_s)
    return CpuTime(load_average, own_s, other_s, steal_s, share, throttled)


def _read() -> _Reading:
    times = psutil.cpu_times(percpu=True)
    allowed = affinity()
    # Where a core is offline, the kernel leaves it out, and places are no numbers of cores.
    known = max(allowed) < len(times)
    own = [times[number] for number in allowed] if known else times
    return _Reading(
        at_s=time.perf_counter(),
        own_s=time.process_time(),
        busy_s=_busy_s(times),
        steal_s=_steal_s(times),
        own_cores_busy_s=_busy_s(own),
        own_cores_steal_s=_steal_s(own),
        throttled_s=throttled_s(),
    )


def _busy_s(cores: Iterable[Any]) -> float:
    names = ("user", "nice", "system", "irq", "softirq")
    return sum(getattr(times, name, 0.0) for times in cores for name in names)


def _steal_s(cores: Iterable[Any]) -> float:
    return sum(getattr(times, "steal", 0.0) for times in cores)


def _by_process() -> dict[tuple[str, int], float]:
    found: dict[tuple[str, int], float] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid():
                times = process.cpu_times()
                found[process.name(), process.pid] = times.user + times.system
    return found
