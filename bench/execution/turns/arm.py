"""Define what the coordinator of a block knows of an arm.

Usage:
    arm.start()
    arm.receive(timeout_s=60.0)           # TurnEnd: it has compiled, and waits
    arm.give(Turn(round=0, epoch=0, until_share=0.5))

An arm trains one trial, in one process or in several that train together. It holds the turn from
its start: it loads its data, compiles and warms up. Then, before each window of steps, it compares
its position, an epoch and the share of it that is done, with the end of its turn. If it is there,
it ends the turn and waits for the next one.
"""

from typing import NamedTuple, Protocol

from bench.records.epoch_record import EpochRecord
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Trial


class Turn(NamedTuple):
    """An arm may train until ``until_share`` of the epoch ``epoch`` is done."""

    round: int | None
    """The number of the round, from 0; None outside rounds."""
    epoch: int
    until_share: float


class TurnEnd(NamedTuple):
    """An arm waits; its first one says that it is ready to train."""

    epoch: int
    """The epoch of the next window."""
    share: float
    """The share of that epoch that is done: its steps so far divided by all its steps."""
    windows: int
    """The number of windows of steps in an epoch; 1 if an arm can only train whole epochs."""


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
