"""Hold a trial back between windows until it may train.

Usage:
    turn = gate.enter(epoch=2, share=0.25, windows=8)    # may wait; uses no core meanwhile
    turn.includes(2, 0.375)                              # without a system call

The arms of a block take turns: one trains while the others wait. `trial_process.turn_taker` has the
gate of a process that a coordinator lets train; any other trial has the `OpenGate`.
"""

from typing import Protocol

from bench.protocol.messages import Turn


class TurnGate(Protocol):
    """An object that waits for turns."""

    def enter(self, epoch: int, share: float, windows: int) -> Turn:
        """Return a turn that includes the position, as soon as there is one.

        ``share`` is the share of the steps of ``epoch`` that is done. ``windows`` is the number of
        positions in an epoch at which the trial can wait.
        """


class OpenGate:
    """A gate at which no trial ever waits."""

    def enter(self, epoch: int, share: float, windows: int) -> Turn:  # noqa: ARG002 (TurnGate's parameters)
        """Return a turn to the end of the epoch."""
        return Turn(round=None, epoch=epoch, until_share=1.0)
