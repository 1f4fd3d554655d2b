"""Two real workers train as one arm: one record, turns with others, and one end for both."""

import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest

from bench.execution.executor import Event, Limits, OpenServer
from bench.execution.ray_backend.ray_executor import RayExecutor
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Block, Trial, make_plan
from tests.support.gangs import LONG, Stage, Workers, gang_suite
from tests.support.observers import LIMITS, observe
from tests.support.sample_suites import SINGLE, suite_of

pytestmark = pytest.mark.slow

NODE = os.uname().nodename
FEW: dict[str, Any] = {"global_batch_size": 64, "epochs": 3}
GANG = make_plan(gang_suite(**FEW)).trials[0]
OTHERS = [
    make_plan(suite_of(SINGLE, **FEW, **settings)).trials[0]
    for settings in ({"strategy": "mirrored", "replicas": 2}, {"norm": "layer"})
]
NO_RETRY = Limits(trial_timeout_s=3600.0, retries=0)


def train(
    executor: RayExecutor, trials: Sequence[Trial], workers: Workers, limits: Limits = LIMITS
) -> list[TrialRecord]:
    """Train the trials as the arms of one block; nothing of them is left."""
    block = Block(repeat=0, trials=tuple(trials))
    records = list(observe(executor, [block], limits, workers).records)
    workers.assert_gone()
    return records


def test_a_trial_of_two_workers_has_one_record_of_both(ray_executor: RayExecutor) -> None:
    events: list[Event] = []
    (record,) = observe(ray_executor, gang_suite(), LIMITS, events.append).records
    assert record.status == "completed", record.log_tail
    assert OpenServer() in events
    assert record.devices == (f"{NODE}/worker:0/CPU:0", f"{NODE}/worker:1/CPU:0")
    assert [epoch.epoch for epoch in record.epochs] == [0, 1]
    assert record.log_tail is None
    assert record.node == NODE
    assert record.measures.peak_rss_bytes is not None
    assert record.measures.cpu_s is not None
    assert (record.resolved["turns"], record.resolved["process_start"]) == ("trial", "fork")


def test_workers_take_turns_with_other_arms_and_train_as_if_alone(
    ray_executor: RayExecutor,
) -> None:
    in_turns = train(ray_executor, [OTHERS[0], GANG, OTHERS[1]], Workers())
    assert [record.status for record in in_turns] == ["completed"] * 3
    assert {record.resolved["turns"] for record in in_turns} == {"window"}
    rounds = {tuple(epoch.window_round for epoch in record.epochs) for record in in_turns}
    assert rounds == {((0,), (1,), (2,))}
    for record in in_turns:
        (alone,) = train(ray_executor, [record.trial], Workers())
        assert alone.measures.weights_l2 == record.measures.weights_l2
        assert [e.train_loss for e in alone.epochs] == [e.train_loss for e in record.epochs]


@pytest.mark.parametrize(("stage", "victim"), [("starts", 1), ("trains", 0), ("waits", 1)])
def test_a_killed_worker_ends_its_arm_and_the_others_go_on(
    ray_executor: RayExecutor, stage: Stage, victim: int
) -> None:
    long = make_plan(gang_suite(**LONG)).trials[0]
    workers = Workers(lambda w: w.gang[victim].kill(), stage)
    records = train(ray_executor, [*OTHERS, long], workers, NO_RETRY)
    by_id = {record.trial.trial_id: record for record in records}
    lost = by_id.pop(long.trial_id)
    assert (lost.status, lost.node) == ("worker_lost", NODE)
    assert lost.error == f"worker {victim}: its process was killed by SIGKILL"
    assert "[worker 0]" in (lost.log_tail or "")
    assert "[worker 1]" in (lost.log_tail or "")
    assert bool(lost.epochs) == (stage != "starts")
    assert {record.status for record in by_id.values()} == {"completed"}
    assert {record.resolved["turns"] for record in by_id.values()} == {"window"}


def test_a_killed_worker_s_trial_is_retried_once(ray_executor: RayExecutor) -> None:
    trial = make_plan(gang_suite(epochs=600)).trials[0]
    lost, completed = train(ray_executor, [trial], Workers(lambda w: w.gang[1].kill()))
    assert (lost.status, completed.status) == ("worker_lost", "completed")


def test_a_stopped_worker_is_the_lost_one_although_another_failed(
    ray_executor: RayExecutor,
) -> None:
    trial = make_plan(gang_suite(**LONG)).trials[0]
    workers = Workers(lambda w: w.gang[1].send_signal(signal.SIGSTOP))
    (record,) = train(ray_executor, [trial], workers, NO_RETRY)
    assert record.status == "worker_lost"
    assert (record.error or "").startswith("worker 1: its peers stopped receiving heartbeats")
    assert "UnavailableError" in (record.log_tail or "")
    assert len(record.epochs) >= 1


def test_workers_that_hang_end_after_the_stall_timeout(ray_executor: RayExecutor) -> None:
    def stop(workers: Workers) -> None:
        for process in workers.gang:
            process.send_signal(signal.SIGSTOP)

    trial = make_plan(gang_suite(**LONG)).trials[0]
    limits = Limits(trial_timeout_s=3600.0, stall_timeout_s=15.0)
    (record,) = train(ray_executor, [trial], Workers(stop), limits)
    assert record.status == "timed_out"
    assert "15 s without progress" in (record.error or "")
    assert "[worker 1]" in (record.log_tail or "")
    assert len(record.epochs) >= 1


def test_a_loss_that_is_not_finite_ends_all_workers_as_diverged(
    ray_executor: RayExecutor,
) -> None:
    trial = make_plan(gang_suite(learning_rate=1e30, epochs=5)).trials[0]
    (record,) = train(ray_executor, [trial], Workers())
    assert record.status == "diverged"
    assert "the training loss was nan" in (record.error or "")


def test_an_exception_names_one_worker_and_keeps_the_logs_of_both(
    ray_executor: RayExecutor,
) -> None:
    trial = make_plan(gang_suite(hidden=[1_000_000, 1_000_000])).trials[0]
    (record,) = train(ray_executor, [trial], Workers())
    assert record.status == "out_of_memory"
    assert (record.error or "").startswith("worker ")
    assert (record.log_tail or "").count("Traceback") == 2
