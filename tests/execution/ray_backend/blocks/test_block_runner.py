"""A block and its holders, which are played: what the runner makes of answers and of silence."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import OutOfMemoryError, RayActorError

from bench.execution.executor import BlockWait, EpochEnd, Event, Limits, TrialStart
from bench.execution.gpus.gpu_fitness import GpuAllotment, GpuSnapshot
from bench.execution.ray_backend.blocks import block_runner as module
from bench.execution.ray_backend.blocks.block_runner import BlockRunner, State
from bench.execution.ray_backend.blocks.dataset_store import DatasetUnavailable
from bench.execution.ray_backend.workers.worker_location import WorkerLocation
from bench.execution.ray_backend.workers.worker_log import WorkerLog
from bench.execution.scheduling.resources import ResourceRequest
from bench.execution.turns.arm_run import ArmStart
from bench.execution.turns.coordinator import TurnSettings
from bench.records.epoch_record import EpochRecord
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Block, Trial
from tests.support.sample_trials import trial_labelled

LIMITS = Limits(trial_timeout_s=60.0)
BLOCK = Block(repeat=0, trials=tuple(trial_labelled(f"{n}", hidden=[n]) for n in (1, 2, 3)))
REQUEST = ResourceRequest(({"CPU": 2.0},) * 2, "PACK", ("node", "other"))
FIRST, SECOND, THIRD = BLOCK.trials


class PlayedHolders:
    """Holders that report what a test lets them report."""

    def __init__(self, trials: Sequence[Trial], *others: Any) -> None:
        self.trials = tuple(trials)
        self.settings: TurnSettings = others[3]
        self.unfit: list[tuple[WorkerLocation, GpuSnapshot]] = []
        self.error: Exception | None = None
        self.ended = self.killed = False
        self.began_with: list[object] = []
        self.pending: list[str] = ["answer"]
        self.next: list[Any] = []

    def collect(self, _ready: object) -> Iterator[Any]:
        events, self.next = self.next, []
        yield from events

    def begin(self, data: Sequence[object]) -> None:
        self.began_with = list(data)
        self.pending = ["answer"]

    def locations(self, trial: Trial) -> list[WorkerLocation]:
        return [WorkerLocation("host", "id", 1, "ip", None, trial.label, None)]

    @property
    def all_locations(self) -> list[WorkerLocation]:
        return [location for trial in self.trials for location in self.locations(trial)]

    def kill(self) -> None:
        self.killed = True


class Played:
    """A runner, its holders, and the events that it has passed on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **limits: Any) -> None:
        self.holders: list[PlayedHolders] = []
        self.events: list[Event] = []
        self.attempts: dict[str, int] = {}
        self.no_data: set[str] = set()
        monkeypatch.setattr(module, "Holders", self._holders)
        monkeypatch.setattr(module, "PlacementRequest", _placement)
        self.takes: list[list[WorkerLocation]] = []
        monkeypatch.setattr(module, "take_worker_logs", self._take)
        self.limits = Limits(60.0, **limits)
        self.runner = self.open(BLOCK)
        self.first = self.advance()

    def open(self, block: Block) -> BlockRunner:
        """A runner of what remains of the block."""
        report, data, attempts = self.events.append, self._data, self.attempts
        return BlockRunner(
            block, BLOCK, REQUEST, self.limits, report, data, attempts, GpuAllotment()
        )

    @property
    def state(self) -> State:
        return self.runner.state

    @property
    def holder(self) -> PlayedHolders:
        return self.holders[-1]

    def advance(self, *events: Any) -> list[TrialRecord]:
        if self.holders:
            self.holder.next = list(events)
        return list(self.runner.advance(["answer"]))

    def begin(self) -> None:
        self.holder.pending = []
        self.advance()

    def end(self) -> None:
        self.holder.ended, self.holder.pending = True, []
        self.advance()

    def _holders(self, *arguments: Any) -> PlayedHolders:
        self.holders.append(PlayedHolders(*arguments))
        return self.holder

    def _take(self, locations: Sequence[WorkerLocation]) -> dict[WorkerLocation, WorkerLog]:
        self.takes.append(list(locations))
        return {}

    def _data(self, trial: Trial) -> str:
        if trial.label in self.no_data:
            raise DatasetUnavailable("failed", "no data")
        return f"data of {trial.label}"


def _placement(request: ResourceRequest) -> Any:
    return SimpleNamespace(
        ready="ready",
        granted=False,
        request=request,
        group=None,
        close=lambda: None,
        is_overdue=lambda _limit_s: False,
        wait_reason=lambda free: f"only {free}",
    )


def record(trial: Trial, status: Status = "completed") -> TrialRecord:
    return TrialRecord(trial=trial, status=status)


def epoch(number: int) -> EpochRecord:
    return EpochRecord(
        epoch=number,
        warmup=False,
        epoch_s=1.0,
        examples=1,
        steps=1,
        train_loss=1.0,
        train_accuracy=None,
    )


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    return Played(monkeypatch)


def test_one_holder_trains_the_whole_block_in_turns(played: Played) -> None:
    played.begin()
    assert played.holder.began_with == ["data of 1", "data of 2", "data of 3"]
    assert played.holder.settings.mode == "window"
    played.advance(*map(ArmStart, BLOCK.trials))
    end = EpochEnd(SECOND.trial_id, epoch(0))
    assert played.advance(end) == []
    assert end in played.events
    starts = [event for event in played.events if isinstance(event, TrialStart)]
    assert [(start.trial, start.where, start.logs) for start in starts] == [
        (trial, "host", (trial.label,)) for trial in BLOCK.trials
    ]
    ended = list(map(record, BLOCK.trials))
    assert played.advance(*ended) == ended
    assert played.state.name == "RUNNING"
    played.end()
    assert played.state.name == "DONE"
    assert len(played.holders) == 1


def test_a_lost_trial_is_tried_again_alone_after_the_others(played: Played) -> None:
    played.begin()
    played.advance(*map(ArmStart, BLOCK.trials))
    played.advance(record(FIRST, "worker_lost"))
    assert len(played.holders) == 1
    played.advance(record(SECOND), record(THIRD))
    played.end()
    assert played.state.name == "PLACING"
    played.advance()
    assert played.holder.trials == (FIRST,)
    assert played.holder.settings.retried
    played.begin()
    played.advance(ArmStart(FIRST), record(FIRST, "worker_lost"))
    assert played.attempts[FIRST.trial_id] == 2
    played.end()
    assert played.state.name == "DONE"


def test_a_holder_that_dies_ends_the_trials_that_had_started_with_their_epochs(
    played: Played,
) -> None:
    played.begin()
    played.advance(ArmStart(FIRST), ArmStart(SECOND), EpochEnd(FIRST.trial_id, epoch(0)))
    played.holder.error = RayActorError()
    records = played.advance()
    assert [(r.trial, r.status, len(r.epochs)) for r in records] == [
        (FIRST, "worker_lost", 1),
        (SECOND, "worker_lost", 0),
    ]
    assert played.runner.remaining == Block(repeat=0, trials=(THIRD, FIRST, SECOND))
    assert played.state.name == "PLACING"
    assert played.takes == [played.holder.all_locations]


def test_a_block_of_which_all_trials_are_lost_takes_turns_again(played: Played) -> None:
    played.begin()
    played.advance(*map(ArmStart, BLOCK.trials))
    played.holder.error = RayActorError()
    assert len(played.advance()) == 3
    assert played.state.name == "PLACING"
    played.advance()
    assert set(played.holder.trials) == set(BLOCK.trials)
    assert not played.holder.settings.retried


def test_a_block_whose_holder_dies_before_any_trial_takes_turns(played: Played) -> None:
    played.holder.error = RayActorError()
    played.advance()
    played.advance()
    assert set(played.holder.trials) == set(BLOCK.trials)
    assert not played.holder.settings.retried


def test_a_part_of_a_block_on_other_devices_takes_no_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(monkeypatch)
    played.begin()
    played.advance(*map(ArmStart, BLOCK.trials))
    played.advance(record(FIRST), record(SECOND, "worker_lost"), record(THIRD, "worker_lost"))
    remaining = played.runner.remaining
    assert remaining is not None
    played.runner = played.open(remaining)
    played.advance()
    assert played.holder.trials == (SECOND, THIRD)
    assert played.holder.settings.retried


@pytest.mark.parametrize("retries", [0, 1])
def test_memory_that_ends_a_holder_of_several_arms_makes_them_train_one_after_another(
    monkeypatch: pytest.MonkeyPatch, retries: int
) -> None:
    played = Played(monkeypatch, retries=retries)
    played.begin()
    played.advance(*map(ArmStart, BLOCK.trials))
    played.advance(record(FIRST))
    played.holder.error = OutOfMemoryError("node")
    assert played.advance() == []
    assert played.state.name == "PLACING"
    assert played.attempts[SECOND.trial_id] == 0
    played.advance()
    assert played.holder.trials == (SECOND, THIRD)
    assert "ran low on memory" in (played.holder.settings.shortage or "")
    played.begin()
    played.advance(ArmStart(SECOND))
    played.holder.error = OutOfMemoryError("node")
    (alone,) = played.advance()
    assert (alone.trial, alone.status) == (SECOND, "out_of_memory")
    assert played.runner.remaining == Block(repeat=0, trials=(THIRD,))


def test_a_holder_that_dies_before_any_trial_costs_an_attempt_at_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played = Played(monkeypatch, retries=0)
    played.holder.error = RayActorError()
    (lost,) = played.advance()
    assert (lost.trial, lost.status) == (FIRST, "worker_lost")
    assert played.runner.remaining == Block(repeat=0, trials=(SECOND, THIRD))


def test_the_loss_of_the_first_node_ends_all_that_had_started(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.wait", lambda *_, **__: ([], []))
    played.begin()
    played.advance(ArmStart(FIRST))
    (lost,) = played.runner.handle_node_loss(["other"])
    assert (lost.status, lost.error) == ("worker_lost", "its node was lost")
    assert played.holders[0].killed
    assert played.state.name == "DISPLACED"


def test_after_the_loss_of_another_node_its_trials_end_and_the_others_go_on(
    played: Played,
) -> None:
    played.begin()
    played.advance(*map(ArmStart, BLOCK.trials))
    assert list(played.runner.handle_node_loss(["node"])) == []
    assert played.state.name == "RUNNING"
    assert not played.holder.killed
    played.advance(record(FIRST, "worker_lost"), record(SECOND), record(THIRD))
    played.end()
    assert played.state.name == "DISPLACED"
    assert played.runner.remaining == Block(repeat=0, trials=(FIRST,))


def test_a_node_that_is_lost_before_any_trial_starts_costs_no_attempt(played: Played) -> None:
    assert list(played.runner.handle_node_loss(["node"])) == []
    assert played.state.name == "DISPLACED"
    assert played.runner.remaining == BLOCK
    assert not any(played.attempts.values())


def test_unfit_gpus_end_no_trial(played: Played) -> None:
    gpu = GpuSnapshot("0", unfit="busy")
    played.holder.unfit = [(played.holder.locations(FIRST)[0], gpu)]
    assert played.advance() == []
    assert played.runner.unfit == []  # until the other holders have answered
    played.holder.pending = []
    assert played.advance() == []
    assert [found for _, found in played.runner.unfit] == [gpu]
    assert played.runner.remaining == BLOCK
    assert not any(played.attempts.values())


def test_a_trial_without_data_ends_and_the_others_go_on(played: Played) -> None:
    played.no_data = {"2"}
    played.holder.pending = []
    (missing,) = played.advance()
    assert (missing.trial, missing.status, missing.error) == (SECOND, "failed", "no data")
    played.advance()
    assert played.holder.trials == (FIRST, THIRD)
    assert played.holder.settings.mode == "window"


def test_silence_ends_the_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(monkeypatch, stall_timeout_s=1.0, retries=0)
    played.begin()
    played.advance(ArmStart(FIRST))
    assert list(played.runner.expire()) == []
    monkeypatch.setattr(played.runner, "_answered_at", -1e6)
    (ended,) = played.runner.expire()
    assert ended.status == "timed_out"
    assert "did not answer for 1 s" in (ended.error or "")


def test_an_arm_that_starts_again_counts_once(played: Played) -> None:
    played.begin()
    played.advance(ArmStart(FIRST), ArmStart(FIRST))
    assert played.attempts[FIRST.trial_id] == 1


def test_an_interrupt_gives_each_running_trial_one_record(played: Played) -> None:
    played.begin()
    played.advance(ArmStart(FIRST), EpochEnd(FIRST.trial_id, epoch(0)))
    (cut,) = played.runner.abandon("interrupted", "the run was interrupted")
    assert (cut.status, len(cut.epochs)) == ("interrupted", 1)
    assert list(played.runner.abandon("interrupted", "the run was interrupted")) == []


def test_an_interrupt_between_two_records_of_one_report_keeps_both(played: Played) -> None:
    played.begin()
    played.advance(ArmStart(FIRST), ArmStart(SECOND))
    played.holder.next = [record(FIRST), record(SECOND)]
    records = played.runner.advance(["answer"])
    assert next(records) == record(FIRST)
    assert list(played.runner.abandon("interrupted", "the run was interrupted")) == [record(SECOND)]


def test_a_wait_for_devices_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(monkeypatch)
    for _ in range(2):
        assert list(played.runner.wait("1 core")) == []
    (wait,) = [event for event in played.events if isinstance(event, BlockWait)]
    assert wait.reason == "only 1 core"


def test_trials_that_would_run_out_of_memory_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(monkeypatch, skip_reason=lambda _: "too large")
    assert [(r.trial, r.status) for r in played.first] == [
        (trial, "out_of_memory") for trial in BLOCK.trials
    ]
    assert played.state.name == "DONE"
    assert not played.holders
