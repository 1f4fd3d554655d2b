"""The workers of an arm are one arm: their turns end together, and so do they."""

import os
import select
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.datasets.synthetic import make_synthetic
from bench.execution.executor import Limits
from bench.execution.turns import gang_arm
from bench.execution.turns.arm_data import ArmData
from bench.execution.turns.arm_run import ArmRun
from bench.execution.turns.coordinator import TurnSettings, run_block
from bench.execution.turns.gang_arm import GangArm, WorkerMessage
from bench.execution.turns.held_arms import ArmSetup, HeldArms, PreloaderProgram
from bench.execution.turns.process_arm import ProcessArm
from bench.execution.turns.worker_processes import WorkerProcesses
from bench.protocol.messages import (
    EpochTrained,
    HeartbeatCount,
    TrialEnd,
    TrialStarted,
    Turn,
    TurnEnd,
)
from bench.records.epoch_record import EpochRecord
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import make_plan
from tests.support.gangs import gang_suite
from tests.support.sample_records import make_record
from tests.support.sample_trials import trial_labelled

TRIAL = make_plan(gang_suite(epochs=2)).trials[0]
LOST = TrialFailure("worker_lost", "its process was killed by SIGKILL")
SCRIPTED = PreloaderProgram(modules=(), child="tests.support.scripted_child")
TURN = Turn(round=0, epoch=0, until_share=0.5)


@dataclass
class PlayedPart:
    """A holder's workers that report what a test lets them report."""

    workers: Sequence[int]
    node: str = "node"
    messages: deque[WorkerMessage] = field(default_factory=deque)
    turns: list[Turn] = field(default_factory=list)
    killed: bool = False
    stuck: Sequence[int] = ()
    """The workers that do not end."""
    completed: dict[int, TrialRecord | TrialFailure] = field(default_factory=dict)

    def start(self) -> None:
        self.killed = False

    def give(self, turn: Turn) -> None:
        self.turns.append(turn)

    def receive(self, timeout_s: float) -> list[WorkerMessage]:
        del timeout_s
        return [self.messages.popleft()] if self.messages else []

    def complete(self) -> dict[int, TrialRecord | TrialFailure]:
        return self.completed

    def take_logs(self) -> dict[int, str | None]:
        return {worker: f"log {worker}" for worker in self.workers}

    def kill(self) -> list[str]:
        self.killed = True
        return [f"process {worker} still runs" for worker in self.workers if worker in self.stuck]


def two_parts() -> tuple[GangArm, list[PlayedPart]]:
    parts = [PlayedPart((worker,)) for worker in (0, 1)]
    arm = GangArm(TRIAL, parts)
    arm.start()
    return arm, parts


def reports(arm: GangArm, parts: Sequence[PlayedPart], *messages: WorkerMessage) -> list[object]:
    """What the arm reports as its workers report these, in this order."""
    found: list[object] = []
    for worker, message in messages:
        parts[worker].messages.append((worker, message))
        found.append(arm.receive(0.1))
    return found


def turn_end(epoch: int = 0, share: float = 0.0) -> TurnEnd:
    return TurnEnd(epoch=epoch, share=share, windows=4)


def ended(status: Status = "completed", error: str | None = None) -> TrialEnd:
    record = make_record(TRIAL).model_copy(update={"status": status, "error": error})
    return TrialEnd(record=record)


def epoch(number: int, epoch_s: float = 1.0) -> EpochTrained:
    record: EpochRecord = make_record(TRIAL).epochs[number]
    return EpochTrained(record=record.model_copy(update={"epoch_s": epoch_s}))


def test_all_workers_are_killed_and_those_that_stay_are_named() -> None:
    arm, parts = two_parts()
    parts[0].stuck = (0,)
    assert arm.kill() == ["process 0 still runs"]
    assert parts[1].killed


@given(st.permutations([0, 0, 1, 1]), st.integers(0, 3))
def test_a_turn_ends_once_and_only_when_all_workers_have_ended_it(
    order: list[int], beats: int
) -> None:
    arm, parts = two_parts()
    found = []
    for number, worker in enumerate(order):
        last = worker not in order[number + 1 :]
        message = turn_end(0, 0.5) if last else HeartbeatCount(count=beats)
        found += reports(arm, parts, (worker, message))
    assert [isinstance(each, TurnEnd) for each in found] == [False, False, False, True]


def test_a_turn_is_given_to_all_workers_and_ends_where_the_last_of_them_is() -> None:
    arm, parts = two_parts()
    reports(arm, parts, (0, turn_end()), (1, turn_end()))
    arm.give(TURN)
    assert [part.turns for part in parts] == [[TURN], [TURN]]
    found = reports(arm, parts, (1, turn_end(0, 0.5)), (0, turn_end(0, 0.25)))
    assert found[-1] == turn_end(0, 0.25)


def test_an_epoch_is_reported_once_and_the_record_has_the_slower_one() -> None:
    arm, parts = two_parts()
    found = reports(arm, parts, (0, epoch(0)), (1, epoch(0, 2.0)), (1, epoch(1)))
    assert [isinstance(each, EpochTrained) for each in found] == [True, False, True]
    fast, slow = make_record(TRIAL), make_record(TRIAL)
    slow_epochs = tuple(e.model_copy(update={"epoch_s": 9.0}) for e in slow.epochs)
    ends = [
        TrialEnd(record=fast),
        TrialEnd(record=slow.model_copy(update={"epochs": slow_epochs})),
    ]
    progress, end = reports(arm, parts, (0, ends[0]), (1, ends[1]))
    assert not isinstance(progress, TrialEnd)
    assert isinstance(end, TrialEnd)
    assert {each.epoch_s for each in end.record.epochs} == {9.0}


@pytest.mark.parametrize("worker", [0, 1])
def test_a_worker_that_dies_ends_the_arm_with_its_reason_and_the_finished_epochs(
    monkeypatch: pytest.MonkeyPatch, worker: int
) -> None:
    monkeypatch.setattr(gang_arm, "GRACE_S", 0.05)
    arm, parts = two_parts()
    _, end = reports(arm, parts, (1 - worker, epoch(0)), (worker, LOST))
    assert isinstance(end, TrialEnd)
    assert (end.record.status, end.record.node) == ("worker_lost", "node")
    assert end.record.error == f"worker {worker}: {LOST.reason}"
    assert len(end.record.epochs) == 1
    assert arm.take_log() == "[worker 0] log 0\n[worker 1] log 1"


def test_late_epochs_and_a_late_answer_that_explains_the_first_are_heard() -> None:
    arm, parts = two_parts()
    late = ended("out_of_memory", "no room").record.model_copy(update={"epochs": ()})
    parts[1].messages += [(1, epoch(0)), (1, TrialEnd(record=late))]
    (end,) = reports(arm, parts, (0, ended("failed", "Connection reset by peer")))
    assert isinstance(end, TrialEnd)
    assert (end.record.status, end.record.error) == ("out_of_memory", "worker 1: no room")
    assert len(end.record.epochs) == 1


@pytest.mark.parametrize("sent", [True, False])
def test_a_worker_whose_end_cannot_be_learned_is_lost(
    monkeypatch: pytest.MonkeyPatch, sent: bool
) -> None:
    monkeypatch.setattr(gang_arm, "GRACE_S", 0.05)
    arm, parts = two_parts()
    parts[1].completed = {1: LOST}
    first = ended() if sent else ended("failed", "Connection reset by peer")
    messages = [(0, first), (1, ended())] if sent else [(0, first)]
    end = reports(arm, parts, *messages)[-1]
    assert isinstance(end, TrialEnd)
    assert (end.record.status, end.record.error) == ("worker_lost", f"worker 1: {LOST.reason}")


def test_the_workers_with_the_fewest_heartbeats_are_named_when_the_arm_hangs() -> None:
    arm, parts = two_parts()
    for worker, count in ((0, 5), (1, 3)):
        parts[worker].messages.append((worker, HeartbeatCount(count=count)))
    run = ArmRun(arm, Limits(trial_timeout_s=60.0, stall_timeout_s=0.05))
    start = run.start()
    with pytest.raises(StopIteration) as ended_with:
        while True:
            next(start)
    record = ended_with.value.value
    assert record.status == "timed_out"
    assert "0.05 s without progress (furthest behind: worker 1)" in record.error


def records_of(tmp_path: Path, *actions: str, free: Sequence[int] = ()) -> list[TrialRecord]:
    """Train trials of two scripted processes each, of which none is left.

    ``free`` is the free memory at each measurement.
    """
    data, measured = ArmData("small", lambda: make_synthetic((2, 2, 1), 2, 8)), iter(free)
    arms, every = list[GangArm](), list[ProcessArm]()
    with HeldArms(SCRIPTED) as held:
        for action in actions:
            # Scripted processes have no weights that could be compared.
            trial = make_plan(gang_suite(communication="none", hidden=[len(arms) + 1])).trials[0]
            trial = trial.model_copy(update={"label": action})
            logs = {worker: tmp_path / f"{len(arms)}-{worker}.log" for worker in (0, 1)}
            processes = {w: held.arm(ArmSetup(trial, 1, log), data) for w, log in logs.items()}
            every += processes.values()
            part = WorkerProcesses(processes, lambda _worker, record: record, dict)
            arms.append(GangArm(trial, [part]))
        limits = Limits(trial_timeout_s=60.0, stall_timeout_s=60.0)
        memory = (lambda: {"host": next(measured)}) if free else dict
        events = list(run_block(arms, TurnSettings(), limits, memory))
        assert {arm.pid for arm in every} == {None}
    return [event for event in events if isinstance(event, TrialRecord)]


def test_real_processes_of_one_arm_have_one_record_with_what_both_used(tmp_path: Path) -> None:
    (record,) = records_of(tmp_path, "linger")
    assert record.status == "completed"
    assert record.measures.peak_rss_bytes is not None


def test_a_real_process_that_dies_ends_the_other(tmp_path: Path) -> None:
    (record,) = records_of(tmp_path, "signal:SIGKILL")
    assert (record.error or "").endswith("its process was killed by SIGKILL")


def test_a_process_keeps_descriptors_open_until_it_ends(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    setup = ArmSetup(trial_labelled("hang"), 1, tmp_path / "log", kept=(writer,))
    with HeldArms(SCRIPTED) as held, os.fdopen(reader, "rb") as kept:
        arm = held.arm(setup, ArmData("small", lambda: make_synthetic((2, 2, 1), 2, 8)))
        arm.start()
        while not isinstance(arm.receive(60.0), TrialStarted):
            pass
        os.close(writer)
        assert select.select([kept], [], [], 0.2)[0] == []
        arm.kill()
        assert kept.read() == b""


def test_where_memory_does_not_hold_all_workers_the_arms_train_in_sequence(
    tmp_path: Path,
) -> None:
    records = records_of(tmp_path, "linger", "linger:again", free=(100, 40))
    assert [record.status for record in records] == ["completed"] * 2
    assert {record.resolved["turns"] for record in records} == {"trial"}
    assert all("the arms took no turns" in record.warnings[0] for record in records)
