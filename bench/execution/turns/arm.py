"""Define the interface through which a block's coordinator drives an arm.

Usage:
    arm.start()
    arm.receive(timeout_s=60.0)           # TurnEnd: it has compiled, and waits
    arm.give(Turn(round=0, epoch=0, until_share=0.5))

An arm trains one trial, in one process or in several that train together. It holds the turn from
its start: it loads its data, compiles and warms up. Then, before each window of steps, it compares
its position, an epoch and the share of it that is done, with the end of its turn. If it is there,
it ends the turn and waits for the next one.
"""

from collections.abc import Sequence
from typing import Protocol

from bench.protocol.messages import Message, Turn
from bench.records.trial_failure import TrialFailure
from bench.spec.plan import Trial


class Arm(Protocol):
    """An arm of a block."""

    @property
    def trial(self) -> Trial:
        """What it trains."""

    @property
    def lagging(self) -> Sequence[int]:
        """The workers for which the others may wait; empty if none is behind."""

    def start(self) -> None:
        """Start its processes; also after ``kill``, from the beginning."""

    def give(self, turn: Turn) -> None:
        """Let it train; an arm whose processes have ended reports that by ``receive``."""

    def receive(self, timeout_s: float) -> Message | TrialFailure | None:
        """Return what it reports next; None if nothing comes in time.

        TrialEnd and TrialFailure come last.
        """

    def kill(self) -> Sequence[str]:
        """End its processes and wait until they are gone; nothing happens if they are.

        Returns which did not end, a line each.
        """
