"""Trials on a real Ray: what is recorded, and what becomes of those that do not end well."""

import dataclasses
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest
import ray

from bench.errors import ResourceError
from bench.execution.executor import EpochEnded, Event, Limits, Waiting
from bench.execution.gpus.device_fitness import GpuSnapshot
from bench.execution.gpus.gpu_quarantine import GpuQuarantine
from bench.execution.ray_backend import block_runner, ray_executor
from bench.execution.ray_backend.progress_actor import ProgressUpdate
from bench.execution.ray_backend.ray_executor import RayExecutor
from bench.execution.trial_environment.inherited_environment import THREAD_VARIABLES
from bench.measure.host import usable_cores
from bench.records.trial_record import ExcludedGpus
from bench.spec.plan import Block, make_plan
from tests.support.observers import LIMITS, Log, observe
from tests.support.processes import workers_below
from tests.support.sample_suites import ENDLESS, SINGLE, TINY, suite_of


@pytest.mark.parametrize(("trial_s", "stall_s"), [(3600.0, 900.0), (3600.0, 20.0), (8.0, 900.0)])
def test_a_trial_gives_its_gpus_up_before_a_limit_ends_it(trial_s: float, stall_s: float) -> None:
    waits_s = ray_executor._free_timeout_s(Limits(trial_s, stall_s))
    assert 0 < waits_s <= min(60.0, trial_s / 2, stall_s / 2)


def test_the_unfit_gpus_of_a_node_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[tuple[str, str, list[str]]] = []

    class Noting(GpuQuarantine):
        def add(self, node: str, host: str, unfit: Sequence[GpuSnapshot]) -> list[ExcludedGpus]:
            held.append((node, host, [gpu.name for gpu in unfit]))
            return []

    executor = RayExecutor()
    executor._quarantine, executor._cluster = Noting({}), cast("Any", SimpleNamespace(nodes=()))
    monkeypatch.setattr(executor, "_usable", lambda _nodes: None)
    monkeypatch.setattr(ray_executor, "alive_nodes", list)
    found = [("a", "0"), ("b", "0"), ("a", "1")]
    unfit = [
        (SimpleNamespace(node_id=n, node=n), GpuSnapshot(name, unfit="busy")) for n, name in found
    ]
    fleet = SimpleNamespace(release_unfit=lambda: unfit, exclude_gpus=lambda *_: ())
    assert list(executor._leave_unfit(cast("Any", fleet), print)) == []
    assert held == [("a", "a", ["0", "1"]), ("b", "b", ["0"])]


def test_a_completed_trial_says_what_it_took_and_where_it_ran(ray_log: Log) -> None:
    for record in ray_log.records:
        measures = record.measures
        assert measures.import_s is not None
        assert measures.cold_start_s is not None
        assert measures.peak_rss_bytes is not None
        assert 0 < measures.import_s < (record.wall_s or 0.0)
        assert 0 < measures.cold_start_s < (record.wall_s or 0.0)
        assert measures.peak_rss_bytes > 100 * 2**20  # TensorFlow alone
        assert (measures.total_s or 0.0) <= (record.wall_s or 0.0)
        assert record.node == os.uname().nodename
        assert record.devices == ("CPU:0",)
        assert record.resolved["intra_op_threads"] == len(os.sched_getaffinity(0))
        assert record.started_at is not None
        assert record.log_tail is None


def test_every_trial_has_a_process_of_its_own(ray_log: Log) -> None:
    pids = [record.resolved["pid"] for record in ray_log.records]
    assert len(set(pids)) == len(pids)
    assert os.getpid() not in pids


def test_a_trial_on_the_cpu_sees_no_gpu(ray_log: Log) -> None:
    assert {record.resolved["visible_gpus"] for record in ray_log.records} == {"-1"}


@pytest.mark.slow
def test_the_same_trial_gives_the_same_weights_whatever_ran_before_it(
    ray_log: Log, ray_executor: RayExecutor
) -> None:
    last = ray_log.records[-1]
    by_itself = Block(repeat=last.trial.block, trials=(last.trial,))
    (alone,) = observe(ray_executor, [by_itself]).records
    assert alone.measures.weights_l2 == last.measures.weights_l2


def test_each_node_s_environment_is_told_with_the_variables_that_trials_have(
    ray_executor: RayExecutor, ray_log: Log
) -> None:
    (name,) = ray_executor.environment()
    assert name == os.uname().nodename
    told = ray_executor.environment()[name]["variables"]
    assert told["OMP_NUM_THREADS"] == str(len(os.sched_getaffinity(0)))
    threads = dict.fromkeys(THREAD_VARIABLES, told["OMP_NUM_THREADS"])
    for record in ray_log.records:
        given = record.resolved["variables"]
        assert given == {**told, **threads, "CUDA_VISIBLE_DEVICES": "-1"}


def test_a_node_whose_cores_are_taken_tells_all_but_its_variables(
    ray_executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Busy:
        """Somebody else's actor, on all cores."""

        def here(self) -> bool:
            return True

    monkeypatch.setattr("bench.execution.ray_backend.cluster_nodes._CORES_S", 0.5)
    before = ray_executor.environment()
    monkeypatch.setattr(ray_executor, "_environments", {})
    actor: Any = ray.remote(Busy)
    busy = actor.options(num_cpus=len(os.sched_getaffinity(0))).remote()
    try:
        assert ray.get(busy.here.remote())
        (found,) = ray_executor.environment().values()
    finally:
        ray.kill(busy)
    assert found["variables"] is None
    assert found["packages"] == next(iter(before.values()))["packages"]


@pytest.mark.slow
def test_what_a_worker_writes_lies_among_ray_s_own_logs(ray_executor: RayExecutor) -> None:
    context = ray.get_runtime_context()
    logs = Path(context.get_temp_dir(), context.get_session_name(), "logs")
    limits = _UntilTheFirstEpoch("trial_timeout_s")
    found: list[Path] = []

    def look(event: Event) -> None:
        limits(event)
        found.extend(logs.glob("bench-worker-*.log"))

    observe(ray_executor, suite_of(ENDLESS), cast(Limits, limits), look)
    assert found
    assert list(logs.glob("bench-worker-*.log")) == []


@pytest.mark.slow
def test_an_interrupt_while_the_records_of_a_lost_head_are_kept_repeats_none(
    ray_executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def the_head_is_silent(event: Event) -> None:
        if isinstance(event, EpochEnded):
            monkeypatch.setattr(
                "bench.execution.ray_backend.ray_executor.is_alive", lambda _: False
            )

    blocks = make_plan(suite_of(ENDLESS)).blocks[:1]
    records = ray_executor.run(blocks, LIMITS, the_head_is_silent)
    lost = next(records)
    assert (lost.status, lost.error) == ("worker_lost", "Ray's head was lost")
    assert lost.epochs
    with pytest.raises(KeyboardInterrupt):
        records.throw(KeyboardInterrupt())


@pytest.mark.slow
def test_an_error_of_the_driver_s_own_leaves_records_of_what_was_running(
    ray_executor: RayExecutor,
) -> None:
    def fail(event: Event) -> None:
        if isinstance(event, EpochEnded):
            raise RuntimeError("nobody thought of this")

    found = []
    with pytest.raises(RuntimeError, match="nobody"):
        for record in ray_executor.run(make_plan(suite_of(ENDLESS)).blocks[:1], LIMITS, fail):
            found.append(record)
    assert [r.status for r in found] == ["interrupted"]
    assert found[0].error == "the run ended on RuntimeError: nobody thought of this"
    assert found[0].epochs


class _Watched:
    """In a lane's place: what was done with it."""

    def __init__(self, gang: str, pending: Any) -> None:
        self.gang, self.pending, self.left_s = gang, [pending], -1.0
        self.news: list[ProgressUpdate] = []
        self.advance = lambda _: iter(["advanced"])
        self.expire = lambda: iter(["expired"])

    def add_news(self, news: ProgressUpdate) -> None:
        self.news.append(news)


def test_a_trial_that_answered_while_others_were_seen_to_is_not_over_its_limit(
    ray_executor: RayExecutor,
) -> None:
    never: Any = ray.remote(lambda: time.sleep(60)).options(num_cpus=0)
    waiting = never.remote()
    lanes = [_Watched("done", ray.put(1)), _Watched("slow", waiting)]
    try:
        fleet: Any = SimpleNamespace(runners=lanes)
        done: list[Any] = list(ray_executor._expire(fleet))
        assert done == ["advanced", "expired"]
    finally:
        ray.cancel(waiting, force=True)


def test_news_of_an_earlier_try_is_nobody_s(ray_executor: RayExecutor) -> None:
    board = ray_executor._board
    ray.get(
        [board.report.remote(ProgressUpdate(gang, 0, 1)) for gang in ("earlier", "mine", "earlier")]
    )
    mine: Any = _Watched("mine", None)
    ray_executor._read_board([mine])
    assert [news.gang for news in mine.news] == ["mine"]


@pytest.mark.slow
def test_a_killed_process_is_a_lost_worker_tried_once_more_and_the_run_goes_on(
    ray_executor: RayExecutor,
) -> None:
    endless = make_plan(suite_of(ENDLESS)).blocks
    after = make_plan(suite_of(SINGLE)).blocks
    killed: list[int] = []

    def kill_in_mid_trial(event: Event) -> None:
        if isinstance(event, EpochEnded) and event.trial_id == endless[0].trials[0].trial_id:
            # ProgressUpdate comes in heaps: some of it is of a process that is dead by now.
            for worker in workers_below(os.getpid()):
                if worker.pid not in killed:
                    killed.append(worker.pid)
                    worker.send_signal(signal.SIGKILL)

    both = endless[0].model_copy(update={"trials": (*endless[0].trials, *after[0].trials)})
    log = observe(ray_executor, [both], LIMITS, kill_in_mid_trial)
    lost, lost_again, completed = log.records
    assert (lost.status, lost_again.status) == ("worker_lost", "worker_lost")
    assert completed.status == "completed"
    assert len(killed) == 2
    for record, pid in zip((lost, lost_again), killed, strict=True):
        assert f"pid {pid} on {os.uname().nodename}" in (record.error or "")
        assert record.epochs[0].epoch == 0
        assert record.log_tail  # TensorFlow greets
        assert (record.wall_s or 0.0) > 0
        assert record.node == os.uname().nodename


@pytest.mark.slow
def test_epochs_that_were_told_to_an_actor_that_died_are_not_lost_and_it_is_started_again(
    ray_executor: RayExecutor,
) -> None:
    endless, after = (make_plan(suite_of(suite)).blocks[0] for suite in (ENDLESS, SINGLE))
    context = ray.get_runtime_context()
    logs = Path(context.get_temp_dir(), context.get_session_name(), "logs")
    told, written = list[str](), list[int]()

    def kill_both(event: Event) -> None:
        if not isinstance(event, EpochEnded):
            return
        told.append(event.trial_id)
        if not written:
            for process in psutil.Process().children(recursive=True):
                if process.cmdline()[:1] == ["ray::Board"]:
                    process.kill()
            (file,) = logs.glob("bench-worker-*.epochs")
            before = len(file.read_bytes().splitlines())
            while len(file.read_bytes().splitlines()) < before + 5:
                time.sleep(0.01)
            written.append(len(file.read_bytes().splitlines()))
            (worker,) = workers_below(os.getpid())
            worker.kill()

    both = endless.model_copy(update={"trials": (*endless.trials, *after.trials)})
    limits = dataclasses.replace(LIMITS, retries=0)
    lost, completed = observe(ray_executor, [both], limits, kill_both).records
    assert (lost.status, completed.status) == ("worker_lost", "completed")
    assert len(lost.epochs) >= written[0] - 1
    assert told[-1] == after.trials[0].trial_id
    assert list(logs.glob("bench-worker-*")) == []


class _UntilTheFirstEpoch:
    """Limits that let a trial begin, however slow the machine is, and then end it."""

    retries = 1
    skip_reason = staticmethod(lambda _trial: None)

    def __init__(self, limit: str) -> None:
        self.trial_timeout_s = self.stall_timeout_s = self.placement_timeout_s = 3600.0
        self._limit = limit

    def __call__(self, event: Event) -> None:
        if isinstance(event, EpochEnded):
            setattr(self, self._limit, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["trial_timeout_s", "stall_timeout_s"])
def test_a_trial_that_is_over_a_limit_is_ended_and_keeps_its_epochs(
    ray_executor: RayExecutor, limit: str
) -> None:
    limits = _UntilTheFirstEpoch(limit)
    log = observe(ray_executor, suite_of(ENDLESS), cast(Limits, limits), limits)
    (record,) = log.records
    assert record.status == "timed_out"
    assert f"raise {limit}" in (record.error or "")
    assert len(record.epochs) >= 1
    assert workers_below(os.getpid()) == []


def test_a_limit_that_is_over_before_the_next_look_is_kept(
    ray_executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.execution.ray_backend.ray_executor._POLL_S", 60.0)
    log = observe(ray_executor, suite_of(SINGLE), Limits(trial_timeout_s=0.5))
    assert [record.status for record in log.records] == ["timed_out"]


@pytest.mark.slow
def test_an_exception_in_training_is_a_failed_trial_with_its_traceback(
    ray_executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bench.execution.ray_backend.dataset_store.load_arrays", lambda _variant: "no arrays"
    )
    (record,) = observe(ray_executor, suite_of(SINGLE, shape=[5, 5, 1])).records
    assert record.status == "failed"
    assert "AttributeError" in (record.error or "")
    said, traceback = (record.log_tail or "").split("Traceback", maxsplit=1)
    assert "cuda" in said.lower()  # what TensorFlow wrote by itself
    assert "AttributeError" in traceback
    assert record.epochs == ()


def test_more_nodes_than_there_are_is_refused_before_anything_starts(
    ray_executor: RayExecutor,
) -> None:
    spread = suite_of(SINGLE, strategy="multi_worker", workers=2, placement="spread")
    with pytest.raises(ResourceError, match="lower workers"):
        observe(ray_executor, spread)


class Holder:
    """Somebody else's work on the cluster."""

    def ready(self) -> bool:
        return True


@pytest.fixture
def held(ray_executor: RayExecutor) -> Iterator[None]:
    """All cores of this machine's Ray are taken."""
    assert ray_executor.lanes == 1
    cores = ray.cluster_resources()["CPU"]
    holder = ray.remote(Holder).options(num_cpus=cores).remote()
    ray.get(holder.ready.remote(), timeout=60)
    yield
    ray.kill(holder)


@pytest.mark.slow
@pytest.mark.usefixtures("held")
def test_devices_that_others_hold_are_waited_for_aloud_and_not_for_ever(
    ray_executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_runner, "_PATIENCE_S", 0.5)
    monkeypatch.setattr("bench.execution.ray_backend.ray_executor._POLL_S", 0.5)
    told = list[Event]()
    limits = Limits(trial_timeout_s=3600.0, placement_timeout_s=3.0)
    log = observe(ray_executor, suite_of(TINY), limits, told.append)
    assert {record.status for record in log.records} == {"timed_out"}
    assert len(log.records) == 4
    reason = log.records[0].error or ""
    asked = f"1 x ({usable_cores()} CPU)"
    assert reason.startswith(f"not run: in 3 s Ray had no room for {asked}; free are 1 x (0 CPU)")
    assert reason.endswith("raise placement_timeout_s")
    # The second block is given up without another wait of its own.
    (waiting,) = (event for event in told if isinstance(event, Waiting))
    assert waiting.reason.startswith(f"{asked} asked for")


@pytest.mark.slow
def test_devices_that_become_free_are_taken(
    ray_executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_runner, "_PATIENCE_S", 0.5)
    monkeypatch.setattr("bench.execution.ray_backend.ray_executor._POLL_S", 0.5)
    holder = ray.remote(Holder).options(num_cpus=ray.cluster_resources()["CPU"]).remote()
    ray.get(holder.ready.remote(), timeout=60)

    def let_go(event: Event) -> None:
        if isinstance(event, Waiting):
            ray.kill(holder)

    log = observe(ray_executor, suite_of(SINGLE), and_then=let_go)
    assert {record.status for record in log.records} == {"completed"}
