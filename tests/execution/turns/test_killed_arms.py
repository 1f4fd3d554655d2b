"""Whichever process of a block is killed, at whatever stage: the other arms keep their records.

No process, shared memory or file but the logs is left.
"""

import contextlib
from pathlib import Path
from typing import Literal, get_args

import psutil
import pytest

from bench.datasets.synthetic import make_synthetic
from bench.execution.executor import Limits
from bench.execution.turns.arm_data import ArmData
from bench.execution.turns.coordinator import TurnSettings, run_block
from bench.execution.turns.held_arms import ArmSetup, HeldArms, PreloaderProgram
from bench.records.trial_record import TrialRecord
from tests.support.processes import wait_until_gone
from tests.support.sample_trials import trial_labelled
from tests.support.watched_arm import Stage, WatchedArm

LIMITS = Limits(trial_timeout_s=60.0, stall_timeout_s=60.0)
SCRIPTED = PreloaderProgram(modules=(), child="tests.support.scripted_child")
DATA = ArmData("killed", lambda: make_synthetic((2, 2, 1), 2, 8))
VICTIM = "turns:victim"
LABELS = ("turns", VICTIM, "turns:last")
Target = Literal["trial process", "preloader"]


class Killer:
    """Kills the victim's process, or its preloader, when the victim is first at ``stage``."""

    def __init__(self, target: Target, stage: Stage) -> None:
        self._target, self._stage = target, stage
        self.started: list[psutil.Process] = []
        self._victim: psutil.Process | None = None
        self.preloader: psutil.Process | None = None
        self._has_killed = False

    def __call__(self, arm: WatchedArm, stage: Stage) -> None:
        if stage == "starts" and arm.pid is not None:
            process = psutil.Process(arm.pid)
            self.started.append(process)
            self.preloader = process.parent()
            if arm.trial.label == VICTIM:
                self._victim = process
        if arm.trial.label == VICTIM and stage == self._stage and not self._has_killed:
            self._has_killed = True
            killed = self.preloader if self._target == "preloader" else self._victim
            assert killed is not None
            with contextlib.suppress(psutil.NoSuchProcess):
                killed.kill()


def records_after(folder: Path, killer: Killer) -> dict[str, TrialRecord]:
    """The records of a block of three arms, by label."""
    shared_before = shared_memory()
    with HeldArms(SCRIPTED) as held:
        trials = [trial_labelled(label, hidden=[n]) for n, label in enumerate(LABELS, start=1)]
        setups = [ArmSetup(t, 1, folder / f"{t.trial_id}.log") for t in trials]
        arms = [WatchedArm(held.arm(setup, DATA), killer) for setup in setups]
        events = list(run_block(arms, TurnSettings(), LIMITS, dict))
    wait_until_gone([*killer.started, *filter(None, [killer.preloader])])
    assert shared_memory() == shared_before
    assert {path.suffix for path in folder.iterdir()} == {".log"}
    found = [event for event in events if isinstance(event, TrialRecord)]
    assert sorted(record.trial.label for record in found) == sorted(LABELS)
    return {record.trial.label: record for record in found}


def shared_memory() -> int:
    """How many pieces of shared memory this process holds; a piece has no name in a folder."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(link.readlink()))
    return sum(link.startswith("/memfd:") for link in links)


@pytest.mark.parametrize("stage", get_args(Stage))
def test_a_killed_trial_process_costs_only_its_own_trial(tmp_path: Path, stage: Stage) -> None:
    records = records_after(tmp_path, Killer("trial process", stage))
    victim = records.pop(VICTIM)
    assert victim.status == ("completed" if stage == "ends" else "worker_lost")
    assert {record.status for record in records.values()} == {"completed"}


@pytest.mark.parametrize("stage", get_args(Stage))
def test_a_killed_preloader_costs_the_trials_that_have_not_ended(
    tmp_path: Path, stage: Stage
) -> None:
    records = records_after(tmp_path, Killer("preloader", stage))
    assert {record.status for record in records.values()} <= {"completed", "worker_lost"}
    assert records[VICTIM].status == ("completed" if stage == "ends" else "worker_lost")
    lost = [record for record in records.values() if record.status == "worker_lost"]
    assert stage == "ends" or len(lost) == len(LABELS)
    for record in lost:
        assert "preloader" in (record.error or "") or "started it" in (record.error or "")
