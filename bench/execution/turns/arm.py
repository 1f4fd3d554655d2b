"""Define what the coordinator of a block knows of an arm.

Usage:
    arm.start()
    arm.receive(timeout_s=60.0)           # TurnEnd: it has compiled, and waits
    arm.give(Turn(until=0.5, round=0))

An arm trains one trial, in one process or in several that train together. It holds the turn from
its start: it loads its data, compiles and warms up. Then, before each window of steps, it compares
its position with the end of its turn; if it is there, it ends the turn and waits for the next one.
A position is ``epoch + steps_done / steps_per_epoch``, computed like that, so that rounding moves
no window to another turn.
"""

from typing import NamedTuple, Protocol

from bench.records.epoch_record import EpochRecord
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Trial


class Turn(NamedTuple):
    """An arm may train."""

    until: float
    """The position at which it must stop: the epoch plus the share of the epoch that is done."""
    round: int | None
    """The number of the round, from 0; None outside rounds."""


class TurnEnd(NamedTuple):
    """An arm waits; its first one says that it is ready to train."""

    position: float
    """The epoch plus the share of the epoch that is done."""
    windows: int
    """The number of windows of steps in an epoch."""


class Heartbeat(NamedTuple):
    """An arm has finished a stage or a window."""


class ArmFailure(NamedTuple):
    """An arm ended without a record."""

    status: Status
    reason: str
    """In one line."""


Message = TurnEnd | Heartbeat | EpochRecord | TrialRecord | ArmFailure
"""What an arm reports; a record or a failure is its last message."""


class Arm(Protocol):
    """An arm of a block."""

    @property
    def trial(self) -> Trial:
        """What it trains."""

    def start(self) -> None:
        """Start its processes; also after ``kill``, from the beginning."""

    def give(self, turn: Turn) -> None:
        """Let it train; an arm whose processes have ended reports that by ``receive``."""

    def receive(self, timeout_s: float) -> Message | None:
        """Return its next message; None if none comes in time."""

    def kill(self) -> None:
        """End its processes and wait until they are gone; nothing happens if they are."""
