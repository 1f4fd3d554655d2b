"""Tell whether another arm fits into memory, from the memory that earlier arms used.

Usage:
    room = MemoryRoom(functools.partial(free_bytes, gpus))
    arm.start(); ...                      # until it is ready
    room.add()
    room.shortage()                       # None, or why the next arm would not fit
"""

from collections.abc import Callable, Iterable, Mapping

from bench.files.bounded_reading import MiB
from bench.measure.gpu import memory_bytes, used_memory_bytes
from bench.measure.host import available_memory_bytes

FreeBytes = Callable[[], Mapping[str, int]]
"""Measures the free bytes of the host's memory and of each device's, by a name for messages."""

MARGIN = 1.25
"""The next arm may be larger than those before it."""
GROWTH = 0.25
"""The part of its memory by which an arm may grow after its start, when it first validates."""


class MemoryRoom:
    """The free memory as arms start, one after another."""

    def __init__(self, measure: FreeBytes) -> None:
        self._measure = measure
        self._free = dict(measure())
        self._largest: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        """The memory of all arms so far."""

    def add(self) -> None:
        """Measure what the arm that has just become ready took."""
        free = dict(self._measure())
        for memory in self._free.keys() & free.keys():
            taken = max(0, self._free[memory] - free[memory])
            self._taken[memory] = self._taken.get(memory, 0) + taken
            self._largest[memory] = max(taken, self._largest.get(memory, 0))
        self._free = free

    def shortage(self) -> str | None:
        """Return why an arm as large as the largest so far would not fit, in one line.

        The arms so far keep room to grow.
        """
        for memory, free in sorted(self._free.items()):
            need = self._largest.get(memory, 0) * MARGIN
            growth = self._taken.get(memory, 0) * GROWTH
            if need + growth > free:
                return (
                    f"another arm may need {need / MiB:.0f} MiB of {memory} memory, the others "
                    f"{growth / MiB:.0f} MiB more, and {free / MiB:.0f} MiB are free"
                )
        return None


def free_bytes(gpus: Iterable[str]) -> dict[str, int]:
    """Return the free memory of this host and of its GPUs, which are UUIDs.

    A GPU whose memory the driver does not report is left out.
    """
    free = {"host": available_memory_bytes()}
    for gpu in gpus:
        total, used = memory_bytes(gpu), used_memory_bytes(gpu)
        if total is not None and used is not None:
            free[gpu] = total - used
    return free
