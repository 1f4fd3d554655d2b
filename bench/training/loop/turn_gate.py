"""Hold a trial back between windows until it may train.

Usage:
    turn = gate.enter(epoch=2, share=0.25, windows=8)    # may wait; uses no core meanwhile
    turn.includes(2, 0.375)                              # without a system call

The arms of a block take turns: one trains while the others wait. A trial on its own has the
`OpenGate`.
"""

from typing import NamedTuple, Protocol


class GrantedTurn(NamedTuple):
    """Windows that start before a position may train."""

    round: int | None
    """The round of the block that the turn belongs to; None if the arms take no turns."""
    epoch: int
    until_share: float
    """The turn ends where this share of the steps of ``epoch`` is done."""

    def includes(self, epoch: int, share: float) -> bool:
        """Return whether a window may start where this share of the steps of an epoch is done."""
        return (epoch, share) < (self.epoch, self.until_share)


class TurnGate(Protocol):
    """An object that waits for turns."""

    def enter(self, epoch: int, share: float, windows: int) -> GrantedTurn:
        """Return a turn that includes the position, as soon as there is one.

        ``share`` is the share of the steps of ``epoch`` that is done. ``windows`` is the number of
        positions in an epoch at which the trial can wait.
        """


class OpenGate:
    """A gate at which no trial ever waits."""

    def enter(self, epoch: int, share: float, windows: int) -> GrantedTurn:  # noqa: ARG002
        """Return a turn to the end of the epoch."""
        return GrantedTurn(None, epoch, 1.0)
