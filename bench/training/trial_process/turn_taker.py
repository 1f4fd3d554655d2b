"""Let a trial train only in its turns.

Usage:
    taker = TurnTaker(stream.send)
    taker.give(Turn(round=0, epoch=0, until_share=0.25))     # in the thread that receives
    turn = taker.enter(epoch=0, share=0.125, windows=8)      # in the thread that trains; may wait
    turn.includes(0, 0.25)                                   # False: enter again before that window

A trial that waits uses no core: its thread sleeps in the kernel.
"""

import queue
from collections.abc import Callable

from bench.protocol.messages import Turn, TurnEnd


class TurnTaker:
    """The turns of one trial, given by one thread and taken by the one that trains."""

    def __init__(self, send: Callable[[TurnEnd], None]) -> None:
        self._send = send
        self._given: queue.SimpleQueue[Turn] = queue.SimpleQueue()
        self._turn: Turn | None = None

    def give(self, turn: Turn) -> None:
        """Let the trial train until the end of ``turn``, once it waits for one."""
        self._given.put(turn)

    def enter(self, epoch: int, share: float, windows: int) -> Turn:
        """Return a turn that includes the position; say so and wait if there is none yet.

        ``share`` of ``epoch`` is done, and ``windows`` is the number of windows in an epoch.
        """
        while self._turn is None or not self._turn.includes(epoch, share):
            self._send(TurnEnd(epoch=epoch, share=share, windows=windows))
            self._turn = self._given.get()
        return self._turn
