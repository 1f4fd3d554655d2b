"""Run and time the windows of one pass over an epoch, the next few at each call.

Usage:
    windows = EpochWindows(window, feed.windows(epoch), time.monotonic)
    timed = windows.run_next(4)
    timed += windows.run_next()        # all that remain
    windows.sums.loss                  # over all steps that ran

The end of a window is the start of the next: no time between two windows is lost.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.training.data.windows import Window
from bench.training.loop.compiled_window import CompiledWindow, StepSums, no_sums, read_sums


@dataclass(frozen=True)
class TimedWindow:
    """When a window started and ended, in seconds of the clock."""

    start_s: float
    end_s: float

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

    def run_next(self, count: int | None = None) -> tuple[TimedWindow, ...]:
        """Run the next ``count`` windows, by default all that remain, and return their times.

        The first starts when the devices are idle and all workers are here. The time of a window
        includes what its feed does for it, such as shuffling.
        """
        self._window.synchronize_workers()
        edges_s = [self._clock()]
        for window in itertools.islice(self._windows, count):
            self._sums = self._window.run(window, self._sums)
            edges_s.append(self._clock())
        return tuple(itertools.starmap(TimedWindow, itertools.pairwise(edges_s)))
