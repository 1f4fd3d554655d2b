"""Two arms take turns in real processes: one trains, the other takes no CPU, both as if alone."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.datasets.synthetic import make_synthetic
from bench.execution.executor import Limits
from bench.execution.trial_processes.preloader_client import PreloaderClient
from bench.execution.turns.arm_run import BlockEvent
from bench.execution.turns.coordinator import TurnSettings, run_block
from bench.execution.turns.process_arm import ProcessArm
from bench.protocol.messages import StartTrial
from bench.protocol.shared_arrays import SharedArrays
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial
from tests.support.cpu_of_turns import CpuOfTurns
from tests.support.sample_trials import trial_labelled
from tests.support.watched_arm import Stage, WatchedArm

pytestmark = pytest.mark.slow

LIMITS = Limits(trial_timeout_s=300.0, stall_timeout_s=300.0)
SETTINGS = TurnSettings(turn_s=0.001)
EIGHT_WINDOWS: dict[str, Any] = {
    "dataset": "synthetic",
    "shape": [4, 4, 1],
    "classes": 5,
    "hidden": [16, 8],
    "examples": 6400,
    "global_batch_size": 8,
    "jit": "none",
}
ROUNDS = (*range(8), *(8 + window // 2 for window in range(16)))
"""Of each window of three epochs: a turn has one window in the first, and two in the others."""
ArmMaker = Callable[[Trial], ProcessArm]


@pytest.fixture(scope="module")
def make_arm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArmMaker]:
    log = tmp_path_factory.mktemp("logs") / "log"
    arrays = make_synthetic((4, 4, 1), 5, 6400)
    with PreloaderClient() as preloader, SharedArrays(arrays) as shared:

        def make(trial: Trial) -> ProcessArm:
            request = StartTrial(trial=trial, data=shared.layout, threads=1)
            return ProcessArm(preloader, request, shared.descriptor, Path(log))

        yield make


def two_arms(make_arm: ArmMaker, **axes: Any) -> list[ProcessArm]:
    settings = {**EIGHT_WINDOWS, **axes}
    return [make_arm(trial_labelled(norm, **settings, norm=norm)) for norm in ("none", "bn_post")]


def run(arms: Sequence[ProcessArm], settings: TurnSettings = SETTINGS) -> list[BlockEvent]:
    return list(run_block(arms, settings, LIMITS, dict))


def records(events: Sequence[BlockEvent]) -> list[TrialRecord]:
    found = [event for event in events if isinstance(event, TrialRecord)]
    assert [record.status for record in found] == ["completed"] * 2
    return sorted(found, key=lambda record: record.trial.label)


def test_windows_of_two_arms_never_overlap_and_both_train_as_if_alone(make_arm: ArmMaker) -> None:
    in_turns = records(run(two_arms(make_arm)))
    in_sequence = records(run(two_arms(make_arm), TurnSettings("trial")))
    for one, other in zip(in_turns, in_sequence, strict=True):
        assert one.measures.weights_l2 == other.measures.weights_l2
        assert [e.train_loss for e in one.epochs] == [e.train_loss for e in other.epochs]
        rounds = [number for epoch in one.epochs for number in epoch.window_round or ()]
        assert tuple(rounds) == ROUNDS
        assert {epoch.window_round for epoch in other.epochs} == {None}
    times = sorted(
        (start, start + seconds)
        for record in in_turns
        for epoch in record.epochs
        for start, seconds in zip(epoch.window_start_s or (), epoch.window_s, strict=True)
    )
    assert len(times) == 48
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(times))


def cpu_of(arms: Sequence[ProcessArm]) -> CpuOfTurns:
    """The CPU time of the turns of a block of ``arms``."""
    cpu = CpuOfTurns(arms)

    def count(arm: WatchedArm, stage: Stage) -> None:
        if stage in ("waits", "ends") and arm.turn:
            cpu.add(arm.trial.trial_id, arm.turn_s)

    list(run_block([WatchedArm(arm, count) for arm in arms], SETTINGS, LIMITS, dict))
    return cpu


def test_an_arm_that_waits_takes_no_cpu(make_arm: ArmMaker) -> None:
    cpu = cpu_of(two_arms(make_arm, hidden=[256, 256]))
    for trial_id, training_s in cpu.training_s.items():
        # Some microseconds before it waits, and when threads wake up for a heartbeat.
        assert cpu.waiting_s[trial_id] < 0.05 * training_s


def test_a_pipeline_on_the_host_takes_no_cpu_while_its_arm_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))
    # It takes longer to read such examples than to train on them: a pipeline that has not kept up
    # fills its buffers once nobody reads from them.
    axes = {"examples": 65_536, "global_batch_size": 2048, "epochs": 4, "pipeline": "tfrecord"}
    arrays = make_synthetic((4, 4, 1), 5, 65_536)
    with PreloaderClient() as preloader, SharedArrays(arrays) as shared:

        def make(trial: Trial) -> ProcessArm:
            request = StartTrial(trial=trial, data=shared.layout, threads=2)
            return ProcessArm(preloader, request, shared.descriptor, tmp_path / "log")

        arms = two_arms(make, **axes, hidden=[8])
        cpu = cpu_of(arms)
    assert sum(cpu.waiting_s.values()) < 0.05 * sum(cpu.training_s.values())


def test_an_arm_that_is_killed_while_it_waits_costs_only_itself(make_arm: ArmMaker) -> None:
    arms = two_arms(make_arm)
    victim = arms[1]

    def kill(arm: WatchedArm, stage: Stage) -> None:
        is_over = stage == "waits" and arm.turn is not None and arm.turn.round == 9
        if is_over and arm.trial is victim.trial and victim.pid is not None:
            psutil.Process(victim.pid).kill()

    events = run_block([WatchedArm(arm, kill) for arm in arms], SETTINGS, LIMITS, dict)
    ended = {event.trial.label: event for event in events if isinstance(event, TrialRecord)}
    assert [ended[label].status for label in ("none", "bn_post")] == ["completed", "worker_lost"]
    assert str(ended["bn_post"].error).endswith("SIGKILL")
    assert len(ended["bn_post"].epochs) == 1
