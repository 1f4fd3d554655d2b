"""Two real workers train as one group: one record, and the end of one ends the group."""

import dataclasses
import os
import pickle
import signal
from collections.abc import Callable
from typing import Any

import pytest

from bench.datasets.load import load_arrays
from bench.execution.executor import Event, Limits, OpenServer
from bench.execution.ray_backend.blocks.block_runner import BlockRunner
from bench.execution.ray_backend.ray_executor import RayExecutor
from bench.execution.ray_backend.workers.progress_actor import ProgressUpdate
from bench.execution.ray_backend.workers.worker_group import WorkerGroup
from tests.support.observers import LIMITS, observe
from tests.support.worker_groups import LONG, Once, assert_cleaned_up, group_suite

pytestmark = pytest.mark.slow

NODE = os.uname().nodename


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[WorkerGroup]:
    """The groups that have begun to train, each as it was."""
    started: list[WorkerGroup] = []
    train: Callable[..., None] = WorkerGroup.train

    def record_and_train(group: WorkerGroup, data: Any, progress_actor: Any) -> None:
        started.append(group)
        train(group, data, progress_actor)

    monkeypatch.setattr(WorkerGroup, "train", record_and_train)
    return started


def test_a_group_gives_one_record_of_both_workers(
    ray_executor: RayExecutor, groups: list[WorkerGroup]
) -> None:
    events: list[Event] = []
    with assert_cleaned_up(groups):
        (record,) = observe(ray_executor, group_suite(), LIMITS, events.append).records
    assert record.status == "completed", record.log_tail
    assert OpenServer() in events
    assert record.devices == (f"{NODE}/worker:0/CPU:0", f"{NODE}/worker:1/CPU:0")
    first, second = (groups[0].records[worker].measures.weights_l2 for worker in (0, 1))
    assert record.measures.weights_l2 == first == second is not None
    assert [epoch.epoch for epoch in record.epochs] == [0, 1]
    assert record.log_tail is None
    assert len({location.pid for location in groups[0].locations.values()}) == 2


@pytest.mark.parametrize("victims", [[0], [1], [0, 1]])
def test_a_killed_worker_ends_its_group_which_is_retried_once(
    ray_executor: RayExecutor, groups: list[WorkerGroup], victims: list[int]
) -> None:
    def kill() -> None:
        for worker in victims:
            os.kill(groups[0].locations[worker].pid, signal.SIGKILL)

    with assert_cleaned_up(groups):
        log = observe(ray_executor, group_suite(epochs=600), LIMITS, Once(kill))
    lost, completed = log.records
    assert lost.status == "worker_lost"
    causes = [
        f"worker {worker}: its process (pid {groups[0].locations[worker].pid} on {NODE}) died"
        for worker in victims
    ]
    assert (lost.error or "").startswith(tuple(causes))
    assert "[worker 0]" in (lost.log_tail or "")
    assert "[worker 1]" in (lost.log_tail or "")
    assert lost.epochs[0].epoch == 0
    assert completed.status == "completed", completed.log_tail


def test_a_stopped_worker_is_the_lost_one_although_another_failed(
    ray_executor: RayExecutor, groups: list[WorkerGroup]
) -> None:
    def stop() -> None:
        os.kill(groups[0].locations[1].pid, signal.SIGSTOP)

    limits = Limits(trial_timeout_s=3600.0, retries=0)
    with assert_cleaned_up(groups):
        (record,) = observe(ray_executor, group_suite(**LONG), limits, Once(stop)).records
    assert record.status == "worker_lost"
    assert (record.error or "").startswith("worker 1: its peers stopped receiving heartbeats")
    assert "UnavailableError" in (record.log_tail or "")
    assert len(record.epochs) >= 1


class HangsOnWorkerOne:
    """Data that only the first worker can finish loading."""

    def __init__(self, arrays: Any) -> None:
        self._expression = (
            "('\"index\": 1' in __import__('os').environ['TF_CONFIG'] "
            "and __import__('time').sleep(3600), "
            f"__import__('pickle').loads({pickle.dumps(arrays)!r}))[1]"
        )

    def __reduce__(self) -> Any:
        return eval, (self._expression,)


def test_a_hanging_worker_ends_its_group_after_the_stall_timeout(
    ray_executor: RayExecutor, groups: list[WorkerGroup], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bench.execution.ray_backend.blocks.dataset_store.load_arrays",
        lambda variant: HangsOnWorkerOne(load_arrays(variant)),
    )
    take_in = BlockRunner.add_progress

    def then_wait_briefly(runner: BlockRunner, update: ProgressUpdate) -> None:
        """Lower the limit once the first worker has come further than the second."""
        take_in(runner, update)
        if update.worker == 0 and update.heartbeats > 0:
            runner._limits = dataclasses.replace(runner._limits, stall_timeout_s=5.0)

    monkeypatch.setattr(BlockRunner, "add_progress", then_wait_briefly)
    limits = Limits(trial_timeout_s=3600.0, stall_timeout_s=3600.0)
    with assert_cleaned_up(groups):
        (record,) = observe(ray_executor, group_suite(shape=[3, 3, 1]), limits).records
    assert record.status == "timed_out"
    assert "made no progress for 5 s (furthest behind: worker 1)" in (record.error or "")
    assert "[worker 1]" in (record.log_tail or "")


def test_a_loss_that_is_not_finite_ends_all_workers_as_diverged(
    ray_executor: RayExecutor, groups: list[WorkerGroup]
) -> None:
    with assert_cleaned_up(groups):
        (record,) = observe(ray_executor, group_suite(learning_rate=1e30, epochs=5)).records
    assert record.status == "diverged"
    assert "the training loss was nan" in (record.error or "")
    assert [groups[0].records[worker].status for worker in (0, 1)] == ["diverged", "diverged"]


def test_an_exception_names_one_worker_and_keeps_the_logs_of_both(
    ray_executor: RayExecutor, groups: list[WorkerGroup]
) -> None:
    with assert_cleaned_up(groups):
        (record,) = observe(ray_executor, group_suite(hidden=[1_000_000, 1_000_000])).records
    assert record.status == "out_of_memory"
    assert (record.error or "").startswith("worker ")
    assert (record.log_tail or "").count("Traceback") == 2
