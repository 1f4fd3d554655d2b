"""A holder from the inside: what it reports of its trials, and how each record is completed."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.datasets.synthetic import make_synthetic
from bench.execution.executor import Limits
from bench.execution.gpus.gpu_fitness import GpuAllotment, GpuSnapshot, UnfitGpus
from bench.execution.ray_backend.workers import holder as module
from bench.execution.ray_backend.workers.holder import BlockWork, Holder
from bench.execution.turns.arm_run import ArmStart
from bench.execution.turns.coordinator import TurnSettings
from bench.execution.turns.held_block import PreloaderProgram, run_held_block
from bench.records.trial_record import TrialRecord
from tests.support.sample_trials import trial_labelled

LIMITS = Limits(trial_timeout_s=60.0, stall_timeout_s=60.0)
SCRIPTED = PreloaderProgram(modules=(), child="tests.support.scripted_child")


@pytest.fixture(autouse=True)
def without_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Data are handed over as they are, and this process keeps its variables."""
    monkeypatch.setattr(module, "_fetched", lambda data: [each for (each,) in data])
    run = functools.partial(run_held_block, program=SCRIPTED)
    monkeypatch.setattr(module, "run_held_block", run)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def work_of(*actions: str, threads: int = 1) -> BlockWork:
    trials = tuple(trial_labelled(action, hidden=[len(action)]) for action in actions)
    return BlockWork(trials, (threads,) * len(trials), TurnSettings(), LIMITS)


def holder_of(tmp_path: Path, work: BlockWork) -> Holder:
    holder = Holder(GpuAllotment())
    holder._logs = tuple(str(tmp_path / f"{number}.log") for number in range(len(work.trials) + 1))
    for log in holder._logs:
        Path(log).touch()
    return holder


def events_of(holder: Holder, work: BlockWork) -> list[object]:
    arrays = make_synthetic((2, 2, 1), 2, 8)
    assert holder.begin(work, [[arrays] for _ in work.trials]) is None
    events: list[object] = []
    ended = False
    while not ended:
        report = holder.report()
        events += report.events
        ended = report.ended
    return events


def test_starts_and_records_are_reported_and_logs_deleted(tmp_path: Path) -> None:
    work = work_of("turns", "abort:goodbye")
    events = events_of(holder_of(tmp_path, work), work)
    assert [e.trial for e in events if isinstance(e, ArmStart)] == list(work.trials)
    records = {e.trial.label: e for e in events if isinstance(e, TrialRecord)}
    completed, lost = records["turns"], records["abort:goodbye"]
    assert (completed.status, completed.log_tail) == ("completed", None)
    assert completed.started_at is not None
    assert completed.node == lost.node is not None
    assert completed.resolved["visible_gpus"] == "-1"
    assert completed.resolved["variables"]["OMP_NUM_THREADS"] == "1"
    assert (lost.status, lost.log_tail) == ("worker_lost", "goodbye")
    assert not list(tmp_path.iterdir())


def test_a_trial_that_needs_more_cores_than_there_are_fails_alone(tmp_path: Path) -> None:
    many = trial_labelled("turns:many", hidden=[7], threads=1000)
    one = work_of("turns").trials[0]
    work = BlockWork((many, one), (1000, 1), TurnSettings(), LIMITS)
    events = events_of(holder_of(tmp_path, work), work)
    records = {e.trial.label: e for e in events if isinstance(e, TrialRecord)}
    assert records["turns:many"].status == "failed"
    assert "1000 cores are needed" in (records["turns:many"].error or "")
    assert records["turns"].status == "completed"


def test_nothing_starts_on_an_unfit_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unfit = UnfitGpus((GpuSnapshot("0", unfit="busy"),))
    monkeypatch.setattr(module, "acquire_gpus", lambda *_: unfit)
    work = work_of("turns")
    assert holder_of(tmp_path, work).begin(work, [[None]]) == unfit


def test_what_ends_the_block_is_raised_after_what_came_before_it(tmp_path: Path) -> None:
    holder = holder_of(tmp_path, work_of("turns"))
    start = ArmStart(trial_labelled("turns"))
    for event in (start, OSError("disk")):
        holder._events.put(event)
    report = holder.report()
    assert (report.events, report.ended) == ((start,), False)
    with pytest.raises(OSError, match="disk"):
        holder.report()
