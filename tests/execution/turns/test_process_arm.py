"""An arm of one process says how that ended, whatever the kernel or its preloader does."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from bench.datasets.synthetic import make_synthetic
from bench.execution.executor import Limits
from bench.execution.trial_processes.trial_process import TrialProcess
from bench.execution.turns import process_arm
from bench.execution.turns.arm_data import ArmData
from bench.execution.turns.coordinator import TurnSettings, run_block
from bench.execution.turns.held_arms import ArmSetup, HeldArms, PreloaderProgram
from bench.execution.turns.process_arm import ProcessArm
from bench.protocol.messages import TrialStarted, Turn, TurnEnd
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import TrialRecord
from tests.support.sample_trials import trial_labelled

PATIENCE_S = 60.0
DATA = ArmData("arm", lambda: make_synthetic((2, 2, 1), 2, 8))
MakeArm = Callable[[str], ProcessArm]


@pytest.fixture
def make_arm(tmp_path: Path) -> Iterator[MakeArm]:
    """A function that makes an arm, whose process performs an action of ``scripted_child``."""
    program = PreloaderProgram(modules=(), child="tests.support.scripted_child")
    with HeldArms(program) as held:

        def make(action: str) -> ProcessArm:
            trial = trial_labelled(action, hidden=[len(action)])
            return held.arm(ArmSetup(trial, 1, tmp_path / f"{trial.trial_id}.log"), DATA)

        yield make


def waiting(arm: ProcessArm) -> psutil.Process:
    """Start an arm, and return its process once it waits for a turn."""
    arm.start()
    assert isinstance(arm.receive(PATIENCE_S), TrialStarted)
    assert isinstance(arm.receive(PATIENCE_S), TurnEnd)
    return psutil.Process(arm.pid)


def never_ends(process: TrialProcess, timeout_s: float) -> None:
    """What ``exit`` does if the kernel ends no process, as while a driver does not answer."""
    raise TimeoutError(f"process {process.pid} still runs after {timeout_s:g} s")


def test_processes_that_do_not_end_cost_no_record_and_are_named(
    make_arm: MakeArm, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = [make_arm("turns"), make_arm("turns:again"), make_arm("exit:3")]
    with monkeypatch.context() as patch:
        patch.setattr(TrialProcess, "exit", never_ends)
        events = list(run_block(arms, TurnSettings(), Limits(PATIENCE_S, PATIENCE_S), dict))
    ended = {event.trial.label: event for event in events if isinstance(event, TrialRecord)}
    assert [ended[arm.trial.label].status for arm in arms] == [
        *("completed", "completed", "worker_lost")
    ]
    for record in ended.values():
        (warning,) = record.warnings
        assert warning.startswith("its process could not be ended: process ")
        assert record.measures.cpu_s is None


def oom_kills(monkeypatch: pytest.MonkeyPatch, *counts: int) -> None:
    """Play the kernel's counts, in the order in which they are read."""
    left = list(counts)
    monkeypatch.setattr(process_arm, "cgroup_oom_kills", lambda: left.pop(0))


def failure_after_a_turn(arm: ProcessArm, process: psutil.Process, *, waits: bool) -> str:
    """Kill the process while it waits for its second turn, or in it; return the status."""
    if waits:
        process.kill()
        process.wait()
    arm.give(Turn(round=0, epoch=0, until_share=0.5))
    if not waits:
        process.kill()
    while not isinstance(message := arm.receive(PATIENCE_S), TrialFailure):
        assert message is None or isinstance(message, TurnEnd)
    arm.kill()
    return message.status


def test_another_arm_s_end_for_memory_explains_no_later_end(
    make_arm: MakeArm, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At its start, as its turn begins, and at its end.
    oom_kills(monkeypatch, 4, 5, 5)
    arm = make_arm("turns")
    assert failure_after_a_turn(arm, waiting(arm), waits=False) == "worker_lost"


def test_an_end_for_memory_in_a_turn_or_before_it_is_one(
    make_arm: MakeArm, monkeypatch: pytest.MonkeyPatch
) -> None:
    oom_kills(monkeypatch, 4, 4, 5)
    arm = make_arm("turns")
    assert failure_after_a_turn(arm, waiting(arm), waits=False) == "out_of_memory"
    oom_kills(monkeypatch, 4, 5)
    arm = make_arm("turns:waits")
    assert failure_after_a_turn(arm, waiting(arm), waits=True) == "out_of_memory"


def test_a_process_that_refuses_a_message_of_its_holder_fails_with_the_reason(
    tmp_path: Path,
) -> None:
    trial = trial_labelled("turns", hidden=[3])
    with HeldArms(PreloaderProgram(modules=())) as held:
        arm = held.arm(ArmSetup(trial, 1, tmp_path / "log"), DATA)
        arm.start()
        assert isinstance(arm.receive(PATIENCE_S), TrialStarted)
        assert arm._process is not None
        os.write(arm._process.fileno(), b"rubbish\n")
        while not isinstance(message := arm.receive(PATIENCE_S), TrialFailure):
            pass
        arm.kill()
    assert message == ("failed", "its holder sent invalid JSON: 'rubbish'")
