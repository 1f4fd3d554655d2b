"""Follow one arm of a block from its start to its record, turn by turn.

Usage:
    run = ArmRun(arm, limits)
    record = yield from run.start()                    # None: it is ready, and waits
    record = yield from run.take_turn(Turn(round=0, epoch=0, until_share=0.25))
"""

import time
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

from bench.execution.executor import EpochEnd, Limits
from bench.execution.oom_skip import skipped_record
from bench.execution.turns.arm import Arm
from bench.protocol.messages import EpochTrained, TrialEnd, Turn, TurnEnd
from bench.records.epoch_record import EpochRecord
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Trial

Clock = Callable[[], float]


class ArmStart(NamedTuple):
    """An arm starts; it starts again if memory does not hold all arms."""

    trial: Trial


BlockEvent = ArmStart | EpochEnd | TrialRecord
"""What happens in a block whose arms take turns."""
Outcome = Generator[BlockEvent, None, TrialRecord | None]
"""Yields what happens while an arm holds the turn. Returns its record if it has ended, else None:
then it waits."""


class ArmRun:
    """An arm, and what is known of it. A time limit counts its start and its own turns."""

    def __init__(self, arm: Arm, limits: Limits, clock: Clock = time.monotonic) -> None:
        self._arm, self._limits, self._clock = arm, limits, clock
        self.trial = arm.trial
        self.alive = self.started = False
        """Whether it has processes, and whether it has had any."""
        self.held_s = 0.0
        """How long it has held the turn."""
        self.windows = 1
        """The number of windows of steps in an epoch."""
        self.epochs: list[EpochRecord] = []

    @property
    def last_epoch_s(self) -> float | None:
        """The duration of its last epoch; None before its first has ended."""
        return self.epochs[-1].epoch_s if self.epochs else None

    def start(self) -> Outcome:
        """Start the arm from the beginning, and wait until it is ready."""
        if reason := self._limits.skip_reason(self.trial):
            return skipped_record(self.trial, reason)
        self.alive, self.started, self.held_s, self.epochs = True, True, 0.0, []
        yield ArmStart(self.trial)
        self._arm.start()
        return (yield from self._follow(until=(0, 0.0)))

    def take_turn(self, turn: Turn) -> Outcome:
        """Let the arm train until the end of its turn, or to its own end."""
        self._arm.give(turn)
        until = turn.epoch, turn.until_share
        record = yield from self._follow(until)
        if record is None and until >= (self.trial.variant.epochs - 1, 1.0):
            return self.record("failed", "it ended its last turn without a record")
        return record

    def record(self, status: Status, reason: str) -> TrialRecord:
        """Return a record for an arm whose processes sent none."""
        epochs = tuple(self.epochs)
        return TrialRecord(trial=self.trial, status=status, error=reason, epochs=epochs)

    def kill(self) -> Sequence[str]:
        """End the arm's processes; return which did not end, a line each."""
        self.alive = False
        return self._arm.kill()

    @property
    def _behind(self) -> str:
        """Name the workers for which the others may wait."""
        workers = " and ".join(map(str, self._arm.lagging))
        return f" (furthest behind: worker {workers})" if workers else ""

    def _follow(self, until: tuple[int, float]) -> Outcome:
        """Wait while the arm holds the turn; it must keep it until the position ``until``."""
        origin_s = self._clock() - self.held_s
        limit_s, stall_s = self._limits.trial_timeout_s, self._limits.stall_timeout_s
        while True:
            left_s = limit_s - self.held_s
            message = self._arm.receive(min(left_s, stall_s)) if left_s > 0 else None
            self.held_s = self._clock() - origin_s
            match message:
                case None if left_s <= stall_s:
                    over = f"its time limit of {limit_s:g} s: raise trial_timeout_s"
                    return self.record("timed_out", f"ended after {over}")
                case None:
                    over = (
                        f"{stall_s:g} s without progress{self._behind}: "
                        "raise stall_timeout_s if slow"
                    )
                    return self.record("timed_out", f"ended after {over}")
                case TrialEnd(record=record):
                    return record
                case TrialFailure(status, reason):
                    return self.record(status, reason)
                case TurnEnd(epoch=epoch, share=share, windows=windows):
                    self.windows = windows
                    if (epoch, share) >= until:
                        return None
                    early = f"it ended its turn at {share:g} of epoch {epoch}, before its end"
                    return self.record("failed", early)
                case EpochTrained(record=epoch_record):
                    self.epochs.append(epoch_record)
                    yield EpochEnd(self.trial.trial_id, epoch_record)
                case _:
                    pass  # a sign of progress
