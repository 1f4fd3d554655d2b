"""Trials on a real Ray: their records, and what happens if they do not end well."""

import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest
import ray

from bench.datasets.arrays import Arrays
from bench.datasets.load import load_arrays
from bench.errors import ResourceError
from bench.execution.executor import BlockWait, EpochEnd, Event, Limits, RunWarning
from bench.execution.gpus.gpu_fitness import GpuSnapshot
from bench.execution.ray_backend import ray_executor
from bench.execution.ray_backend.blocks import placement
from bench.execution.ray_backend.gpus.gpu_quarantine import GpuQuarantine
from bench.execution.ray_backend.ray_executor import RayExecutor
from bench.execution.trial_environment.inherited_environment import THREAD_VARIABLES
from bench.measure.host import usable_cores
from bench.records.trial_record import ExcludedGpus
from bench.spec.plan import Block, make_plan
from bench.spec.variant import Variant
from tests.support.observers import LIMITS, Log, observe
from tests.support.processes import workers_below
from tests.support.sample_suites import ENDLESS, SINGLE, TINY, suite_of


@pytest.mark.parametrize(("trial_s", "stall_s"), [(3600.0, 900.0), (3600.0, 20.0), (8.0, 900.0)])
def test_a_trial_stops_waiting_for_gpus_before_a_limit_ends_it(
    trial_s: float, stall_s: float
) -> None:
    waits_s = ray_executor._free_timeout_s(Limits(trial_s, stall_s))
    assert 0 < waits_s <= min(60.0, trial_s / 2, stall_s / 2)


def test_all_unfit_gpus_of_a_node_are_quarantined_in_one_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quarantined: list[tuple[str, str, list[str]]] = []

    class Noting(GpuQuarantine):
        def add(self, node: str, host: str, unfit: Sequence[GpuSnapshot]) -> list[ExcludedGpus]:
            quarantined.append((node, host, [gpu.name for gpu in unfit]))
            return []

    executor = RayExecutor()
    executor._quarantine, executor._cluster = Noting({}), cast("Any", SimpleNamespace(nodes=()))
    monkeypatch.setattr(executor, "_usable_cluster", lambda _nodes: None)
    monkeypatch.setattr(ray_executor, "alive_nodes", list)
    found = [("a", "0"), ("b", "0"), ("a", "1")]
    unfit = [
        (SimpleNamespace(node_id=n, node=n), GpuSnapshot(name, unfit="busy")) for n, name in found
    ]
    pool = SimpleNamespace(release_unfit=lambda: unfit, exclude_gpus=lambda *_: ())
    assert list(executor._exclude_unfit(cast("Any", pool), print)) == []
    assert quarantined == [("a", "a", ["0", "1"]), ("b", "b", ["0"])]


def test_a_further_run_does_not_report_again_what_a_run_has_reported() -> None:
    executor, events = RayExecutor(), list[Event]()
    executor._quarantine, executor._local = GpuQuarantine({}), True
    executor._load_warning = "others compute here"
    executor._hidden_gpus = ExcludedGpus(node="a", devices=("GPU-1",), reason="hidden")
    executor._report_node_states(events.append)
    assert events == [executor._hidden_gpus, RunWarning("others compute here")]
    executor._report_node_states(events.append)
    assert len(events) == 2


def test_a_completed_trial_records_its_measures_and_its_node(ray_log: Log) -> None:
    for record in ray_log.records:
        measures = record.measures
        assert measures.peak_rss_bytes is not None
        assert measures.peak_rss_bytes > 100 * 2**20  # TensorFlow alone
        assert (measures.total_s or 0.0) <= (record.wall_s or 0.0)
        assert record.node == os.uname().nodename
        assert record.devices == ("CPU:0",)
        assert record.resolved["intra_op_threads"] == len(os.sched_getaffinity(0))
        assert record.started_at is not None
        assert record.log_tail is None


def test_the_first_block_has_the_cold_starts(ray_log: Log) -> None:
    for record in ray_log.records:
        cold_start_s = record.measures.cold_start_s
        if record.trial.block == 0:
            assert cold_start_s is not None
            assert 0 < cold_start_s < (record.wall_s or 0.0)
        else:
            assert (cold_start_s, record.resolved["compiled_before"]) == (None, True)


def test_one_trial_of_a_block_has_the_import_that_all_share(ray_log: Log) -> None:
    blocks = {record.trial.block for record in ray_log.records}
    imports = [record for record in ray_log.records if record.measures.import_s]
    assert sorted(record.trial.block for record in imports) == sorted(blocks)
    assert all(0 < (r.measures.import_s or 0.0) < (r.wall_s or 0.0) for r in imports)


def test_every_trial_runs_in_its_own_process(ray_log: Log) -> None:
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


def test_a_node_s_environment_has_the_variables_of_its_trials(
    ray_executor: RayExecutor, ray_log: Log
) -> None:
    (name,) = ray_executor.environment()
    assert name == os.uname().nodename
    reported = ray_executor.environment()[name]["variables"]
    assert reported["OMP_NUM_THREADS"] == str(len(os.sched_getaffinity(0)))
    threads = dict.fromkeys(THREAD_VARIABLES, reported["OMP_NUM_THREADS"])
    for record in ray_log.records:
        given = record.resolved["variables"]
        assert given == {**reported, **threads, "CUDA_VISIBLE_DEVICES": "-1"}


def test_a_node_with_busy_cores_reports_everything_except_its_variables(
    ray_executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Busy:
        """Somebody else's actor, on all cores."""

        def here(self) -> bool:
            return True

    monkeypatch.setattr("bench.execution.ray_backend.cluster.cluster_nodes._CORES_S", 0.5)
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
def test_worker_logs_are_in_ray_s_log_folder(ray_executor: RayExecutor) -> None:
    context = ray.get_runtime_context()
    logs = Path(context.get_temp_dir(), context.get_session_name(), "logs")
    found: list[Path] = []

    def look(event: Event) -> None:
        if isinstance(event, EpochEnd):
            found.extend(logs.glob("bench-worker-*.log"))

    observe(ray_executor, suite_of(SINGLE), LIMITS, look)
    assert found
    assert list(logs.glob("bench-worker-*.log")) == []


@pytest.mark.slow
def test_an_interrupt_while_the_records_of_a_lost_head_are_written_repeats_none(
    ray_executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def the_head_is_silent(event: Event) -> None:
        if isinstance(event, EpochEnd):
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
def test_an_error_in_the_driver_leaves_records_of_the_running_trials(
    ray_executor: RayExecutor,
) -> None:
    def fail(event: Event) -> None:
        if isinstance(event, EpochEnd):
            raise RuntimeError("nobody thought of this")

    found = []
    with pytest.raises(RuntimeError, match="nobody"):
        for record in ray_executor.run(make_plan(suite_of(ENDLESS)).blocks[:1], LIMITS, fail):
            found.append(record)
    assert [r.status for r in found] == ["interrupted"]
    assert found[0].error == "the run failed with RuntimeError: nobody thought of this"
    assert found[0].epochs


class _FakeRunner:
    """A stand-in for a block runner whose limit is over."""

    def __init__(self, pending: Any) -> None:
        self.pending, self.remaining_s = [pending], -1.0
        self.advance = lambda _: iter(["advanced"])
        self.expire = lambda: iter(["expired"])


def test_a_trial_that_answered_while_others_were_handled_does_not_time_out(
    ray_executor: RayExecutor,
) -> None:
    never: Any = ray.remote(lambda: time.sleep(60)).options(num_cpus=0)
    waiting = never.remote()
    runners = [_FakeRunner(ray.put(1)), _FakeRunner(waiting)]
    try:
        pool: Any = SimpleNamespace(runners=runners)
        done: list[Any] = list(ray_executor._expire(pool))
        assert done == ["advanced", "expired"]
    finally:
        ray.cancel(waiting, force=True)


@pytest.mark.slow
def test_a_killed_worker_is_retried_once_and_the_run_continues(
    ray_executor: RayExecutor,
) -> None:
    endless = make_plan(suite_of(ENDLESS)).blocks
    after = make_plan(suite_of(SINGLE)).blocks
    killed: list[int] = []

    def kill_in_mid_trial(event: Event) -> None:
        if isinstance(event, EpochEnd) and event.trial_id == endless[0].trials[0].trial_id:
            workers = workers_below(os.getpid())
            # Once the other arm has ended; updates may come from a process that is dead by now.
            if len(workers) == 1 and workers[0].pid not in killed:
                killed.append(workers[0].pid)
                workers[0].kill()

    both = endless[0].model_copy(update={"trials": (*endless[0].trials, *after[0].trials)})
    log = observe(ray_executor, [both], LIMITS, kill_in_mid_trial)
    completed, lost, lost_again = log.records
    assert (lost.status, lost_again.status) == ("worker_lost", "worker_lost")
    assert (completed.status, completed.resolved["turns"]) == ("completed", "window")
    assert len(killed) == 2
    for record in (lost, lost_again):
        assert record.error == "its process was killed by SIGKILL"
        assert record.epochs[0].epoch == 0
        assert (record.wall_s or 0.0) > 0
        assert record.node == os.uname().nodename


@pytest.mark.slow
def test_a_killed_holder_ends_its_trials_and_loses_no_epoch(ray_executor: RayExecutor) -> None:
    context = ray.get_runtime_context()
    logs = Path(context.get_temp_dir(), context.get_session_name(), "logs")
    written = list[int]()

    def kill_holder(event: Event) -> None:
        if isinstance(event, EpochEnd) and not written:
            (file,) = logs.glob("bench-worker-*.epochs")
            written.append(len(file.read_bytes().splitlines()))
            for process in psutil.Process().children(recursive=True):
                if process.cmdline()[0].startswith("ray::Holder"):
                    process.kill()

    limits = dataclasses.replace(LIMITS, retries=0)
    (lost,) = observe(ray_executor, suite_of(ENDLESS), limits, kill_holder).records
    assert lost.status == "worker_lost"
    assert len(lost.epochs) >= written[0]
    assert workers_below(os.getpid()) == []
    assert list(logs.glob("bench-worker-*")) == []


@pytest.mark.slow
def test_a_trial_that_exceeds_its_time_is_ended_and_keeps_its_epochs(
    ray_executor: RayExecutor,
) -> None:
    (record,) = observe(ray_executor, suite_of(ENDLESS), Limits(trial_timeout_s=30.0)).records
    assert record.status == "timed_out"
    assert "raise trial_timeout_s" in (record.error or "")
    assert len(record.epochs) >= 1
    assert workers_below(os.getpid()) == []


@pytest.mark.slow
def test_a_trial_that_makes_no_progress_is_ended_and_keeps_its_epochs(
    ray_executor: RayExecutor,
) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, EpochEnd):
            for worker in workers_below(os.getpid()):
                worker.suspend()

    limits = Limits(trial_timeout_s=3600.0, stall_timeout_s=20.0)
    (record,) = observe(ray_executor, suite_of(ENDLESS), limits, stop).records
    assert record.status == "timed_out"
    assert "raise stall_timeout_s" in (record.error or "")
    assert len(record.epochs) >= 1
    assert workers_below(os.getpid()) == []


def test_a_limit_shorter_than_the_poll_interval_is_enforced(
    ray_executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.execution.ray_backend.ray_executor._POLL_S", 60.0)
    log = observe(ray_executor, suite_of(SINGLE), Limits(trial_timeout_s=0.5))
    assert [record.status for record in log.records] == ["timed_out"]


@pytest.mark.slow
def test_an_exception_in_training_is_a_failed_trial_with_its_traceback(
    ray_executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_smaller_validation_images(variant: Variant) -> Arrays:
        arrays = load_arrays(variant)
        return dataclasses.replace(arrays, val_images=arrays.val_images[:, :1].copy())

    monkeypatch.setattr(
        "bench.execution.ray_backend.blocks.dataset_store.load_arrays",
        with_smaller_validation_images,
    )
    (record,) = observe(ray_executor, suite_of(SINGLE, shape=[5, 5, 1])).records
    assert record.status == "failed"
    said, traceback = (record.log_tail or "").split("Traceback", maxsplit=1)
    assert "tensorflow" in said.lower()  # what TensorFlow wrote by itself
    assert "ValueError" in traceback
    assert record.epochs == ()


def test_a_trial_with_more_workers_than_nodes_is_refused_before_anything_starts(
    ray_executor: RayExecutor,
) -> None:
    spread = suite_of(SINGLE, strategy="multi_worker", workers=2, placement="spread")
    with pytest.raises(ResourceError, match="lower workers"):
        observe(ray_executor, spread)


class Holder:
    """Other work on the cluster."""

    def ready(self) -> bool:
        return True


@pytest.fixture
def quarantined(ray_executor: RayExecutor) -> Iterator[None]:
    """Other work occupies all cores of this machine's Ray."""
    assert ray_executor.parallel_blocks == 1
    cores = ray.cluster_resources()["CPU"]
    holder = ray.remote(Holder).options(num_cpus=cores).remote()
    ray.get(holder.ready.remote(), timeout=60)
    yield
    ray.kill(holder)


@pytest.mark.slow
@pytest.mark.usefixtures("quarantined")
def test_waiting_for_occupied_devices_is_reported_and_times_out(
    ray_executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "_CHECK_S", 0.5)
    monkeypatch.setattr("bench.execution.ray_backend.ray_executor._POLL_S", 0.5)
    reported = list[Event]()
    limits = Limits(trial_timeout_s=3600.0, placement_timeout_s=3.0)
    log = observe(ray_executor, suite_of(TINY), limits, reported.append)
    assert {record.status for record in log.records} == {"timed_out"}
    assert len(log.records) == 4
    reason = log.records[0].error or ""
    asked = f"1 x ({usable_cores()} CPU)"
    assert reason.startswith(f"not run: waited 3 s for {asked}, while only 1 x (0 CPU) was free")
    assert reason.endswith("raise placement_timeout_s")
    # The second block is given up without another wait of its own.
    (waiting,) = (event for event in reported if isinstance(event, BlockWait))
    assert waiting.reason.startswith(f"needs {asked}, but other work")


@pytest.mark.slow
def test_devices_that_become_free_are_used(
    ray_executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "_CHECK_S", 0.5)
    monkeypatch.setattr("bench.execution.ray_backend.ray_executor._POLL_S", 0.5)
    holder = ray.remote(Holder).options(num_cpus=ray.cluster_resources()["CPU"]).remote()
    ray.get(holder.ready.remote(), timeout=60)

    def let_go(event: Event) -> None:
        if isinstance(event, BlockWait):
            ray.kill(holder)

    log = observe(ray_executor, suite_of(SINGLE), also=let_go)
    assert {record.status for record in log.records} == {"completed"}
