"""Simulate the arms of a block under a clock that moves only while an arm trains.

Usage:
    machine = Machine()
    arms = machine.arms([Script(windows=8), Script(windows=4, fault="hangs", at=10)])
    events = list(run_block(arms, TurnSettings(), limits, machine.free_bytes, machine.clock))

The machine fails the test if two arms hold the turn at once, or if an arm trains out of its turn.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.execution.turns.arm import Arm
from bench.protocol.messages import EpochTrained, HeartbeatCount, Message, TrialEnd, Turn, TurnEnd
from bench.records.epoch_record import EpochRecord
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import Status, TrialRecord
from bench.spec.defaults import fill_defaults
from bench.spec.plan import Trial
from bench.spec.variant import Variant

Fault = Literal["dies", "hangs", "fails", "returns early", "never ends", "outgrows"]
START_S = 2.0
_NO_TURN = Turn(round=None, epoch=0, until_share=0.0)
_Life = Generator[Message | TrialFailure | None, float, None]
"""Yields what ``receive`` returns; each timeout is sent to it."""


@dataclass(frozen=True)
class Script:
    """What an arm does."""

    windows: int = 8
    epochs: int = 3
    window_s: float = 0.1
    pipeline: str = "device"
    memory: int = 100
    """Bytes that it takes as it starts."""
    out_of_memory_beside: int | None = None
    """It runs out of memory as it starts if as many other arms are alive."""
    stuck: bool = False
    """Its process does not end when it is killed."""
    fault: Fault | None = None
    at: int = 0
    """The window, counted from 0 over all epochs, in which the fault occurs; -1 is the start."""


@dataclass
class Machine:
    """A machine with one clock and one memory, on which one arm may train at a time."""

    memory: int = 10_000
    now: float = 0.0
    holder: "SimulatedArm | None" = None
    alive: list["SimulatedArm"] = field(default_factory=list)
    turns: list[tuple[str, Turn]] = field(default_factory=list)
    """All turns so far, each with the label of its trial."""

    def arms(self, scripts: Sequence[Script]) -> "list[SimulatedArm]":
        return [SimulatedArm(self, script, number) for number, script in enumerate(scripts)]

    def clock(self) -> float:
        return self.now

    def free_bytes(self) -> dict[str, int]:
        return {"host": self.memory - sum(arm.script.memory for arm in self.alive)}


class SimulatedArm:
    """An arm that follows a script; ``trained`` has the round and position of each window."""

    def __init__(self, machine: Machine, script: Script, number: int) -> None:
        self.machine, self.script = machine, script
        self.trial = _trial(number, script)
        self.trained: list[tuple[int | None, float]] = []
        self.starts = 0
        self._turn = _NO_TURN
        self._life: _Life | None = None
        self.lagging: Sequence[int] = ()

    def start(self) -> None:
        assert self not in self.machine.alive
        self.machine.alive.append(self)
        self.starts += 1
        self.trained.clear()
        self._turn = _NO_TURN
        self._hold()
        self._life = self._live()
        next(self._life)

    def give(self, turn: Turn) -> None:
        self._hold()
        self._turn = turn
        self.machine.turns.append((self.trial.label, turn))

    def receive(self, timeout_s: float) -> Message | TrialFailure | None:
        assert self._life is not None
        assert self.machine.holder is self
        assert timeout_s > 0
        message = self._life.send(timeout_s)
        if isinstance(message, TurnEnd | TrialEnd | TrialFailure):
            self.machine.holder = None
        return message

    def kill(self) -> list[str]:
        self._life = None
        if self in self.machine.alive:
            self.machine.alive.remove(self)
        if self.machine.holder is self:
            self.machine.holder = None
        return ["its process still runs"] if self.script.stuck else []

    def _turn_end(self, epoch: int, share: float) -> TurnEnd:
        return TurnEnd(epoch=epoch, share=share, windows=self.script.windows)

    def _end(self, status: Status, error: str | None = None) -> TrialEnd:
        return TrialEnd(record=TrialRecord(trial=self.trial, status=status, error=error))

    def _hold(self) -> None:
        assert self.machine.holder is None
        self.machine.holder = self

    def _live(self) -> _Life:
        script, machine = self.script, self.machine
        timeout_s = yield None
        machine.now += START_S
        if script.out_of_memory_beside == len(machine.alive) - 1:
            yield self._end("out_of_memory", "no room")
        timeout_s = yield HeartbeatCount(count=1)
        for window in range(-1, script.windows * script.epochs):
            outgrows = script.fault == "outgrows"
            if window == script.at and outgrows and len(machine.alive) > 1:
                yield self._end("out_of_memory", "no room")
            if window == script.at and script.fault and not outgrows:
                yield from self._misbehave(script.fault, timeout_s)
            epoch, place = divmod(window, script.windows)
            if window >= 0:
                machine.now += script.window_s
                self.trained.append((self._turn.round, epoch + place / script.windows))
                timeout_s = yield HeartbeatCount(count=1)
                if place + 1 == script.windows:
                    timeout_s = yield EpochTrained(record=self._epoch(epoch))
            epoch, place = divmod(window + 1, script.windows)
            position = epoch, place / script.windows
            while not self._turn.includes(*position) and epoch < script.epochs:
                timeout_s = yield self._turn_end(*position)
        yield self._end("completed")

    def _misbehave(
        self, fault: Fault, timeout_s: float
    ) -> Generator[Message | TrialFailure | None, float, None]:
        while fault == "hangs":
            self.machine.now += timeout_s
            timeout_s = yield None
        while fault == "never ends":
            self.machine.now += 1.0
            yield HeartbeatCount(count=1)
        if fault == "dies":
            yield TrialFailure("worker_lost", "signal 9")
        elif fault == "fails":
            yield self._end("failed", "an exception")
        else:
            yield self._turn_end(self._turn.epoch, max(0.0, self._turn.until_share - 0.001))

    def _epoch(self, epoch: int) -> EpochRecord:
        return EpochRecord(
            epoch=epoch,
            warmup=epoch == 0,
            epoch_s=self.script.windows * self.script.window_s,
            examples=1,
            steps=1,
            train_loss=1.0,
            train_accuracy=None,
        )


_AN_ARM: type[Arm] = SimulatedArm


def _trial(number: int, script: Script) -> Trial:
    settings = {
        "dataset": "synthetic",
        "shape": (4, 4, 1),
        "examples": 64,
        "epochs": script.epochs,
        "pipeline": script.pipeline,
    }
    variant = Variant.model_validate(fill_defaults(settings))
    identity = {"trial_id": f"b000-{number}", "variant_id": f"{number}", "label": f"{number}"}
    return Trial(block=0, order=number, seed=0, variant=variant, **identity)
