"""Run and time the windows of one pass over an epoch, the next few at each call.

Usage:
    windows = EpochWindows(window, feed.windows(epoch), time.monotonic)
    timed = windows.run_next(4)
    timed += windows.run_next()        # all that remain
    windows.sums.loss                  # over all steps that ran

The end of a window is the start of the next: no time between two windows is lost. Reading the
process's resources costs one system call a window. That call is in the time of the next window of
the same call of ``run_next``, and outside the times of its first and last edges.
"""

import itertools
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from bench.training.data.windows import Window
from bench.training.loop.compiled_window import CompiledWindow, StepSums, no_sums, read_sums


@dataclass(frozen=True)
class TimedWindow:
    """When a window started and ended, and what its process did meanwhile."""

    start_s: float
    """By the clock."""
    end_s: float
    cpu_s: float
    """CPU time of all threads of this process."""
    involuntary_switches: int
    """How often the kernel took a core from one of these threads."""
    round: int | None = None
    """The round of the block in which it ran; None if the arms take no turns."""

    @property
    def elapsed_s(self) -> float:
        """Time from its start to its end."""
        return self.end_s - self.start_s


class EpochWindows:
    """The windows of one pass, in order."""

    def __init__(
        self, window: CompiledWindow, windows: Iterator[Window], clock: Callable[[], float]
    ) -> None:
        self._window, self._windows, self._clock = window, windows, clock
        self._sums = no_sums()

    @property
    def sums(self) -> StepSums:
        """The sums over all steps that ran; reads them from the device."""
        return read_sums(self._sums)

    def run_next(
        self, count: int | None = None, round_number: int | None = None
    ) -> tuple[TimedWindow, ...]:
        """Run the next ``count`` windows, by default all that remain, and return their times.

        They belong to the round ``round_number``. The first starts when the devices are idle and
        all workers are here. The time of a window includes what its feed does for it, such as
        shuffling.
        """
        self._window.synchronize_workers()
        usage = _process_usage()
        edges = [_Edge(self._clock(), usage)]
        for window in itertools.islice(self._windows, count):
            self._sums = self._window.run(window, self._sums)
            edges.append(_Edge(self._clock(), _process_usage()))
        return tuple(
            _timed_window(before, after, round_number)
            for before, after in itertools.pairwise(edges)
        )


class _Edge(NamedTuple):
    """What is read between two windows."""

    at_s: float
    usage: resource.struct_rusage


def _process_usage() -> resource.struct_rusage:
    return resource.getrusage(resource.RUSAGE_SELF)


def _timed_window(before: _Edge, after: _Edge, round_number: int | None) -> TimedWindow:
    start, end = before.usage, after.usage
    return TimedWindow(
        start_s=before.at_s,
        end_s=after.at_s,
        cpu_s=(end.ru_utime - start.ru_utime) + (end.ru_stime - start.ru_stime),
        involuntary_switches=end.ru_nivcsw - start.ru_nivcsw,
        round=round_number,
    )
