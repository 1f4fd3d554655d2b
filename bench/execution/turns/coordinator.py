"""Run the arms of a block so that one of them trains while all others wait.

Usage:
    for event in run_block(arms, TurnSettings(), limits, free_bytes):
        match event:
            case TrialRecord(): ...           # each arm's, as soon as it ends

The arms start one after another; each is ready before the next one starts. Then they train in
rounds: in each, every arm takes one turn, in balanced order. An arm that hangs, dies or fails costs
its own trial; the others go on. If memory does not hold all arms, they train one after another,
each from its start to its end, and their records say why.
"""

import itertools
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from bench.execution.executor import Limits
from bench.execution.turns.arm import Arm
from bench.execution.turns.arm_run import ArmRun, Clock, Event, TurnLog
from bench.execution.turns.memory_room import FreeBytes, MemoryRoom
from bench.execution.turns.schedule import block_mode, rounds_in_epoch, turn_ends
from bench.protocol.messages import Turn
from bench.records.trial_record import TrialRecord
from bench.spec.arm_order import ArmOrders
from bench.spec.turn_settings import DEFAULT_TURN_S, TurnMode


@dataclass(frozen=True)
class TurnSettings:
    """How the arms of a block take turns."""

    mode: TurnMode = "window"
    turn_s: float = DEFAULT_TURN_S
    seed: str = "0"
    """Decides the order of arms in each round."""


def run_block(
    arms: Sequence[Arm],
    settings: TurnSettings,
    limits: Limits,
    free_bytes: FreeBytes,
    clock: Clock = time.monotonic,
) -> Generator[Event, None, None]:
    """Train every arm of a block; yield what happens, and a record for each arm.

    A time limit counts an arm's start and its own turns. On KeyboardInterrupt, also one that is
    thrown into the iterator, the arms that have started get a record that says "interrupted". No
    process of an arm is left when the iterator ends or is closed.
    """
    block = _Block([ArmRun(arm, limits, clock) for arm in arms], settings, free_bytes, clock)
    try:
        yield from block.run()
    except KeyboardInterrupt:
        yield from block.interrupt()
        raise
    finally:
        block.kill()


class _Block:
    """The arms of a block, in planned order."""

    def __init__(
        self,
        arms: Sequence[ArmRun],
        settings: TurnSettings,
        free_bytes: FreeBytes,
        clock: Clock,
    ) -> None:
        self._arms, self._settings = arms, settings
        pipelines = [arm.trial.variant.pipeline for arm in arms]
        self._together, self._whole_epochs = block_mode(settings.mode, pipelines)
        self._free_bytes, self._clock = free_bytes, clock
        self._ended: set[str] = set()
        """Ids of the trials that have their record."""
        self._shortage: str | None = None
        """Why memory does not hold all arms."""

    @property
    def _mode(self) -> TurnMode:
        whole_trials = self._shortage is not None or len(self._arms) == 1
        return "trial" if whole_trials else self._together

    def run(self) -> Iterator[Event]:
        """Train all arms."""
        if self._mode != "trial":
            yield from self._start_all()
        if self._mode == "trial":
            yield from self._run_in_sequence()
        else:
            yield from self._run_in_rounds()

    def interrupt(self) -> Iterator[TrialRecord]:
        """End the arms that have started, and yield their records."""
        for arm in self._arms:
            if arm.alive:
                yield self._end(arm, arm.record("interrupted", "interrupted"))

    def kill(self) -> None:
        """End the processes of all arms."""
        for arm in self._arms:
            arm.kill()

    def _start_all(self) -> Iterator[Event]:
        """Start every arm; if memory does not hold them all, end them and note the shortage."""
        room = MemoryRoom(self._free_bytes)
        for arm in self._arms:
            self._shortage = room.shortage()
            if self._shortage is None:
                alone = not any(other.alive for other in self._arms)
                record = yield from arm.start()
                if record and record.status == "out_of_memory" and arm.alive and not alone:
                    self._shortage = record.error or "an arm ran out of memory as it started"
                elif record:
                    yield self._end(arm, record)
            if self._shortage is not None:
                self.kill()
                return
            room.add()

    def _run_in_rounds(self) -> Iterator[Event]:
        orders, numbers = ArmOrders(len(self._arms), self._settings.seed), itertools.count()
        for epoch in itertools.count():
            training = [arm for arm in self._arms if arm.alive]
            if not training:
                return
            windows = [arm.windows for arm in training]
            epoch_s = [arm.last_epoch_s for arm in training if arm.last_epoch_s is not None]
            rounds = rounds_in_epoch(self._mode, windows, epoch_s, self._settings.turn_s)
            for until_share in turn_ends(rounds):
                number = next(numbers)
                turn = Turn(round=number, epoch=epoch, until_share=until_share)
                for index in orders.row(number):
                    if self._arms[index].alive:
                        yield from self._take_turn(self._arms[index], turn)

    def _run_in_sequence(self) -> Iterator[Event]:
        for arm in self._arms:
            if arm.trial.trial_id in self._ended:
                continue
            record = yield from arm.start()
            if record:
                yield self._end(arm, record)
            else:
                last_epoch = arm.trial.variant.epochs - 1
                whole_trial = Turn(round=None, epoch=last_epoch, until_share=1.0)
                yield from self._take_turn(arm, whole_trial)

    def _take_turn(self, arm: ArmRun, turn: Turn) -> Iterator[Event]:
        started_s = self._clock()
        record = yield from arm.take_turn(turn)
        ended_s = self._clock()
        if record:
            yield self._end(arm, record)
        yield TurnLog(arm.trial.trial_id, turn, started_s, ended_s)

    def _end(self, arm: ArmRun, record: TrialRecord) -> TrialRecord:
        """End an arm's processes and return its record, which says how the arms took turns."""
        arm.kill()
        self._ended.add(arm.trial.trial_id)
        total_s = arm.held_s + (record.measures.import_s or 0.0)
        warnings = []
        if self._shortage:
            warnings.append(f"the arms took no turns: {self._shortage}")
        elif self._whole_epochs and self._mode == "epoch":
            warnings.append(f"a turn was an epoch: {self._whole_epochs}")
        return record.model_copy(
            update={
                "resolved": {**record.resolved, "turns": self._mode},
                "warnings": (*record.warnings, *warnings),
                "measures": record.measures.model_copy(update={"total_s": total_s}),
                "wall_s": total_s,
            }
        )
