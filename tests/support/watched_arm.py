"""An arm that tells a test what its process does.

Usage:
    arms = [WatchedArm(arm, lambda arm, stage: ...) for arm in process_arms]
    list(run_block(arms, TurnSettings(), limits, dict))
"""

import time
from collections.abc import Callable, Sequence
from typing import Literal

from bench.execution.turns.arm import Arm
from bench.execution.turns.process_arm import ProcessArm
from bench.protocol.messages import Message, TrialEnd, Turn, TurnEnd
from bench.records.trial_failure import TrialFailure
from bench.spec.plan import Trial

Stage = Literal["starts", "trains", "waits", "ends"]
"""It has been started; it has a turn; it has ended it; it has ended."""


class WatchedArm:
    """``arm``; ``watch`` is called at each stage."""

    def __init__(self, arm: ProcessArm, watch: Callable[["WatchedArm", Stage], None]) -> None:
        self._arm, self._watch = arm, watch
        self.lagging: Sequence[int] = ()
        self.turn: Turn | None = None
        """Its last turn."""
        self._turn_started_s = 0.0
        self.turn_s = 0.0
        """How long its last turn took."""

    @property
    def trial(self) -> Trial:
        return self._arm.trial

    @property
    def pid(self) -> int | None:
        return self._arm.pid

    def start(self) -> None:
        self._arm.start()
        self._watch(self, "starts")

    def give(self, turn: Turn) -> None:
        self.turn, self._turn_started_s = turn, time.monotonic()
        self._arm.give(turn)
        self._watch(self, "trains")

    def receive(self, timeout_s: float) -> Message | TrialFailure | None:
        message = self._arm.receive(timeout_s)
        if isinstance(message, TurnEnd | TrialEnd | TrialFailure):
            self.turn_s = time.monotonic() - self._turn_started_s if self.turn else 0.0
            self._watch(self, "waits" if isinstance(message, TurnEnd) else "ends")
        return message

    def kill(self) -> Sequence[str]:
        return self._arm.kill()


_AN_ARM: type[Arm] = WatchedArm
