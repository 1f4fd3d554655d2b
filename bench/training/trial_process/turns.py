"""Let a trial train only in its turns, and time its windows.

Usage:
    turns = TurnTaker(stream.send)
    turns.give(Turn(round=0, epoch=0, until_share=0.25))     # from the thread that receives
    for done, window in enumerate(windows):
        with turns.window(epoch, done, len(windows)):        # waits here for a turn
            run(window)

A trial that waits uses no core: its thread sleeps in the kernel.
"""

import contextlib
import queue
import resource
import time
from collections.abc import Callable, Iterator

from bench.protocol.messages import Turn, TurnEnd, WindowTime

_Position = tuple[int, float]
"""An epoch and the share of it that is done."""
_NOWHERE: _Position = (-1, 0.0)


class TurnTaker:
    """The turns of one trial, given by one thread and used by the one that trains."""

    def __init__(
        self, send: Callable[[TurnEnd], None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._send, self._clock = send, clock
        self._given: queue.SimpleQueue[Turn] = queue.SimpleQueue()
        self._round: int | None = None
        self._until = _NOWHERE
        self._windows: list[WindowTime] = []

    def give(self, turn: Turn) -> None:
        """Let the trial train until the end of ``turn``, once it has asked for a turn."""
        self._given.put(turn)

    @contextlib.contextmanager
    def window(self, epoch: int, done: int, total: int) -> Iterator[None]:
        """Wait for a turn, then time the block, which is the window after ``done`` of ``total``.

        ``total`` counts the windows of the epoch. The block ends with synchronized devices.
        """
        self._wait_for_turn(epoch, done / total)
        cpu_s, switches, start_s = time.process_time(), _switches(), self._clock()
        yield
        end_s = self._clock()
        self._windows.append(
            WindowTime(
                start_s=start_s,
                window_s=end_s - start_s,
                cpu_s=time.process_time() - cpu_s,
                involuntary_switches=_switches() - switches,
            )
        )

    def _wait_for_turn(self, epoch: int, share: float) -> None:
        while (epoch, share) >= self._until:
            end = TurnEnd(round=self._round, epoch=epoch, share=share, windows=tuple(self._windows))
            self._windows.clear()
            self._send(end)
            turn = self._given.get()
            self._round, self._until = turn.round, (turn.epoch, turn.until_share)


def _switches() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
