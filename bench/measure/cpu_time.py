"""Measure the CPU time of this process, of other processes and of the hypervisor.

Usage:
    with cpu_time(cores=8) as read_cpu_time:
        train()                            # nothing is sampled in the block
    read_cpu_time().taken_share            # 0.25: others had at least a quarter of its cores' time

    meter = TurnMeter(cores=8)             # for a process that works in some spans only
    meter.begin(); ...; meter.end()        # around each span
    meter.total(cpu_s=1.2).other_cpu_s

    measure_other_load(interval_s=0.5)     # what else runs now

The times are the kernel's counters (/proc/stat, proc(5)), in ticks of 10 ms.
"""

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from bench.measure.cgroup import throttled_s
from bench.measure.host import affinity


@dataclass(frozen=True)
class CpuTime:
    """CPU time over a span, in seconds; None if the kernel does not count it."""

    load_average: float
    """Load average of the machine over the minute before the span."""
    cpu_s: float
    """CPU time of all threads of this process."""
    other_cpu_s: float | None
    """CPU time of all other processes on the machine."""
    steal_s: float | None
    """CPU time that the hypervisor gave to other virtual machines."""
    taken_share: float | None
    """Lower bound on the part of the time of this process's cores that others used."""
    throttled_s: float | None
    """For how long a quota throttled the threads of this process's group."""


@dataclass(frozen=True)
class OtherLoad:
    """The load of other processes on the cores that this process may run on."""

    cores: float
    """CPU seconds per second of all other processes."""
    allowed_cores: int
    processes: tuple[tuple[str, int, float], ...]
    """Name, pid and cores of the busiest processes, the busiest first."""


@dataclass(frozen=True)
class _Reading:
    """The counters at one time; "allowed" are the cores that this process may run on."""

    at_s: float
    process_s: float
    busy_s: float
    steal_s: float
    allowed_busy_s: float
    allowed_steal_s: float
    throttled_s: float | None


@contextlib.contextmanager
def cpu_time(cores: int) -> Iterator[Callable[[], CpuTime]]:
    """Measure the block, for a process that uses up to ``cores`` cores.

    Yields a function that returns the times: inside the block those until now, afterwards those
    of the whole block.
    """
    load_average, before = os.getloadavg()[0], _read()
    after: list[_Reading] = []

    def read_cpu_time() -> CpuTime:
        return _between(load_average, before, after[0] if after else _read(), cores)

    try:
        yield read_cpu_time
    finally:
        after.append(_read())


class TurnMeter:
    """Adds up CPU times over the spans in which another process works, its turns.

    The process uses up to ``cores`` of the cores ``allowed``; None means those of this process.
    """

    def __init__(self, cores: int, allowed: Collection[int] | None = None) -> None:
        self._cores, self._allowed = cores, allowed
        self._load_average = os.getloadavg()[0]
        self._spans: list[tuple[_Reading, _Reading]] = []
        self._begun: _Reading | None = None

    def begin(self) -> None:
        """Begin a span."""
        self._begun = _read(self._allowed)

    def end(self) -> None:
        """End the span, if one has begun."""
        if self._begun is not None:
            self._spans.append((self._begun, _read(self._allowed)))
            self._begun = None

    def total(self, cpu_s: float) -> CpuTime:
        """Return the times of all spans, in which the process used ``cpu_s`` of CPU time."""
        before, after = (_sum_of(readings) for readings in zip(*self._spans, strict=True))
        of_process = dataclasses.replace(after, process_s=before.process_s + cpu_s)
        return _between(self._load_average, before, of_process, self._cores, self._allowed)


def taken_share(
    other_s: float, steal_s: float, wall_s: float, cores: int, allowed_cores: int
) -> float:
    """Return the part of ``cores * wall_s`` that others must have used, from 0 to 1.

    ``other_s`` and ``steal_s`` are times on the ``allowed_cores`` that this process may run on. The
    bound assumes that others first use the cores that this process does not need: trials on
    different GPUs, each with its share of the cores, then take nothing from each other.
    """
    spare_s = max(0, allowed_cores - cores) * wall_s
    total_s = cores * wall_s
    return min(1.0, max(0.0, other_s + steal_s - spare_s) / total_s) if total_s > 0 else 0.0


def measure_other_load(interval_s: float = 0.5, most: int = 3) -> OtherLoad:
    """Measure for ``interval_s`` what other processes use of the cores allowed to this one.

    Lists at most ``most`` processes.
    """
    before, start = _seconds_by_process(), _read()
    time.sleep(interval_s)
    after, end = _seconds_by_process(), _read()
    span_s = end.at_s - start.at_s
    busy_s = end.allowed_busy_s - start.allowed_busy_s
    other_s = busy_s - (end.process_s - start.process_s)
    loads = {key: (s - before[key]) / span_s for key, s in after.items() if key in before}
    ranked = sorted(loads.items(), key=lambda item: item[1], reverse=True)
    return OtherLoad(
        cores=max(0.0, other_s / span_s),
        allowed_cores=len(affinity()),
        processes=tuple((name, pid, cores) for (name, pid), cores in ranked[:most] if cores > 0.05),
    )


def _between(
    load_average: float,
    before: _Reading,
    after: _Reading,
    cores: int,
    allowed: Collection[int] | None = None,
) -> CpuTime:
    wall_s, process_s = after.at_s - before.at_s, after.process_s - before.process_s
    busy_s, throttled_s = after.busy_s - before.busy_s, None
    if before.throttled_s is not None and after.throttled_s is not None:
        throttled_s = max(0.0, after.throttled_s - before.throttled_s)
    if busy_s <= 0:  # in a sandbox, the counters may be constant
        return CpuTime(load_average, process_s, None, None, None, throttled_s)
    share = taken_share(
        max(0.0, after.allowed_busy_s - before.allowed_busy_s - process_s),
        max(0.0, after.allowed_steal_s - before.allowed_steal_s),
        wall_s,
        cores,
        len(affinity() if allowed is None else allowed),
    )
    other_s, steal_s = max(0.0, busy_s - process_s), max(0.0, after.steal_s - before.steal_s)
    return CpuTime(load_average, process_s, other_s, steal_s, share, throttled_s)


def _read(cores: Collection[int] | None = None) -> _Reading:
    """Read the counters; ``cores`` are the allowed ones, by default those of this process."""
    times = psutil.cpu_times(percpu=True)
    numbers = affinity() if cores is None else cores
    # The kernel leaves out offline cores, so an index need not be the number of a core.
    complete = max(numbers) < len(times)
    allowed = [times[number] for number in numbers] if complete else times
    return _Reading(
        at_s=time.perf_counter(),
        process_s=time.process_time(),
        busy_s=_busy_s(times),
        steal_s=_steal_s(times),
        allowed_busy_s=_busy_s(allowed),
        allowed_steal_s=_steal_s(allowed),
        throttled_s=throttled_s(),
    )


def _sum_of(readings: Sequence[_Reading]) -> _Reading:
    throttled = [each.throttled_s for each in readings if each.throttled_s is not None]
    return _Reading(
        at_s=sum(each.at_s for each in readings),
        process_s=sum(each.process_s for each in readings),
        busy_s=sum(each.busy_s for each in readings),
        steal_s=sum(each.steal_s for each in readings),
        allowed_busy_s=sum(each.allowed_busy_s for each in readings),
        allowed_steal_s=sum(each.allowed_steal_s for each in readings),
        throttled_s=sum(throttled) if len(throttled) == len(readings) else None,
    )


def _busy_s(cores: Iterable[Any]) -> float:
    names = ("user", "nice", "system", "irq", "softirq")
    return sum(getattr(times, name, 0.0) for times in cores for name in names)


def _steal_s(cores: Iterable[Any]) -> float:
    return sum(getattr(times, "steal", 0.0) for times in cores)


def _seconds_by_process() -> dict[tuple[str, int], float]:
    seconds: dict[tuple[str, int], float] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid():
                times = process.cpu_times()
                seconds[process.name(), process.pid] = times.user + times.system
    return seconds
