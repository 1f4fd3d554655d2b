"""Run the arms of a block so that one of them trains while all others wait.

Usage:
    for event in run_block(arms, TurnSettings(), limits, free_bytes):
        match event:
            case TrialRecord(): ...           # each arm's, as soon as it ends

The arms start one after another; each is ready before the next one starts. Then they train in
rounds: in each, every arm takes one turn, in balanced order. An arm that hangs, dies or fails costs
its own trial; the others go on. If memory does not hold all arms as they start, they train one
after another, each from its start to its end, and their records say why. An arm that runs out of
memory in a round trains so after the others: only an arm that is alone is too large.
"""

import itertools
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from bench.execution.executor import Limits
from bench.execution.turns.arm import Arm
from bench.execution.turns.arm_run import ArmRun, BlockEvent, Clock
from bench.execution.turns.memory_room import FreeBytes, MemoryRoom
from bench.execution.turns.schedule import block_mode, rounds_in_epoch, turn_ends
from bench.protocol.messages import Turn
from bench.records.trial_record import TrialRecord
from bench.spec.arm_order import ArmOrders
from bench.spec.turn_settings import DEFAULT_TURN_S, SequenceReason, TurnMode


@dataclass(frozen=True)
class TurnSettings:
    """How the arms of a block take turns."""

    mode: TurnMode = "window"
    turn_s: float = DEFAULT_TURN_S
    seed: str = "0"
    """Decides the order of arms in each round."""
    retried: bool = False
    """Whether these are part of a block's arms, tried again; they take no turns."""
    shortage: str | None = None
    """Why memory does not hold all arms, if that is known; they take no turns."""


def run_block(
    arms: Sequence[Arm],
    settings: TurnSettings,
    limits: Limits,
    free_bytes: FreeBytes,
    clock: Clock = time.monotonic,
) -> Generator[BlockEvent, None, None]:
    """Train every arm of a block; yield what happens, and a record for each arm.

    A time limit counts an arm's start and its own turns. On KeyboardInterrupt, also one that is
    thrown into the iterator, the arms that have started get a record that says "interrupted". No
    process of an arm is left when the iterator ends or is closed.
    """
    block = _BlockRun([ArmRun(arm, limits, clock) for arm in arms], settings, free_bytes)
    try:
        yield from block.run()
    except KeyboardInterrupt:
        yield from block.interrupt()
        raise
    finally:
        block.kill()


class _BlockRun:
    """The arms of a block, in planned order, and what is known of them together."""

    def __init__(
        self,
        arms: Sequence[ArmRun],
        settings: TurnSettings,
        free_bytes: FreeBytes,
    ) -> None:
        self._arms, self._settings, self._free_bytes = arms, settings, free_bytes
        pipelines = [arm.trial.variant.pipeline for arm in arms]
        self._together, self._whole_epochs = block_mode(settings.mode, pipelines)
        self._ended: set[str] = set()
        """Ids of the trials that have their record."""
        self._shortage = settings.shortage
        """Why memory does not hold all arms."""
        self._postponed: dict[str, str] = {}
        """Why trials ran out of memory beside others, by id; they train after those, alone."""

    @property
    def _sequence_reason(self) -> SequenceReason | None:
        """Why the arms train one after another; None if they take turns."""
        if self._shortage is not None:
            return "memory"
        if self._settings.retried:
            return "retried"
        if len(self._arms) == 1:
            return "alone"
        return "asked" if self._settings.mode == "trial" else None

    @property
    def _mode(self) -> TurnMode:
        return "trial" if self._sequence_reason else self._together

    def run(self) -> Iterator[BlockEvent]:
        """Train all arms."""
        if self._mode != "trial":
            yield from self._start_all()
        if self._mode != "trial":
            yield from self._run_in_rounds()
        yield from self._run_in_sequence()

    def interrupt(self) -> Iterator[TrialRecord]:
        """End the arms that have started, and yield their records."""
        for arm in self._arms:
            if arm.started and arm.trial.trial_id not in self._ended:
                yield self._end(arm, arm.record("interrupted", "interrupted"))

    def kill(self) -> None:
        """End the processes of all arms."""
        for arm in self._arms:
            arm.kill()

    def _start_all(self) -> Iterator[BlockEvent]:
        """Start every arm; if memory does not hold them all, end them and note the shortage."""
        room = MemoryRoom(self._free_bytes)
        for arm in self._arms:
            self._shortage = room.shortage()
            if self._shortage is None:
                record = yield from arm.start()
                if record and self._lacks_room(arm, record):
                    self._shortage = record.error or "an arm ran out of memory as it started"
                elif record:
                    yield self._end(arm, record)
            if self._shortage is not None:
                self.kill()
                return
            room.add()

    def _run_in_rounds(self) -> Iterator[BlockEvent]:
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

    def _run_in_sequence(self) -> Iterator[BlockEvent]:
        """Train the arms that have no record, each from its start to its end."""
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

    def _take_turn(self, arm: ArmRun, turn: Turn) -> Iterator[BlockEvent]:
        record = yield from arm.take_turn(turn)
        if record and self._lacks_room(arm, record):
            arm.kill()
            self._postponed[arm.trial.trial_id] = record.error or record.status
        elif record:
            yield self._end(arm, record)

    def _lacks_room(self, arm: ArmRun, record: TrialRecord) -> bool:
        """Return whether an arm ran out of memory that other arms hold."""
        others = any(other.alive for other in self._arms if other is not arm)
        return record.status == "out_of_memory" and arm.alive and others

    def _end(self, arm: ArmRun, record: TrialRecord) -> TrialRecord:
        """End an arm's processes and return its record, which says how the arms took turns."""
        warnings = [*record.warnings, *arm.kill()]
        self._ended.add(arm.trial.trial_id)
        total_s = arm.held_s + (record.measures.import_s or 0.0)
        mode, reason = self._mode, self._sequence_reason
        if self._shortage:
            warnings.append(f"the arms took no turns: {self._shortage}")
        elif shortage := self._postponed.get(arm.trial.trial_id):
            mode, reason = "trial", "memory"
            warnings.append(
                f"it trained alone after it ran out of memory beside others: {shortage}"
            )
        elif self._whole_epochs and mode == "epoch":
            warnings.append(f"a turn was an epoch: {self._whole_epochs}")
        turns = {"turns": mode, **({"turns_reason": reason} if reason else {})}
        return record.model_copy(
            update={
                "resolved": {**record.resolved, **turns},
                "warnings": tuple(warnings),
                "measures": record.measures.model_copy(update={"total_s": total_s}),
                "wall_s": total_s,
            }
        )
