"""Time the scheduling of 10,000 trials of mixed size on 1,000 simulated GPUs.

    python -m pytest tests/perf/test_scheduler_perf.py -m perf

It prints figures and judges none. The target is under a minute.
"""

import heapq
import itertools
import time
import tracemalloc
from dataclasses import replace
from statistics import fmean

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.execution.estimation.estimator import estimated_trial_s
from bench.execution.executor import Limits
from bench.execution.scheduling.bin_packing import ResourceShape
from bench.execution.scheduling.queue import Job, job_of
from bench.execution.scheduling.scheduler import Scheduler
from bench.execution.simulated import SimulatedExecutor
from tests.execution.scheduling.test_scheduler import SIZES, TIMES, large_load
from tests.support.large_cluster import NODES, epoch_s, mixed_blocks

pytestmark = pytest.mark.perf


def drain(jobs: list[Job], scheduler: Scheduler) -> float:
    """Schedule all jobs, and return the makespan."""
    for job in jobs:
        scheduler.add(job)
    now, running = 0.0, list[tuple[float, int]]()
    while scheduler.waiting or running:
        for job in scheduler.start(now):
            heapq.heappush(running, (now + job.seconds, job.key))
        now, key = heapq.heappop(running)
        scheduler.finish(key)
    return now


@pytest.mark.parametrize("seconds", TIMES)
@pytest.mark.parametrize("size", SIZES)
def test_scheduling_10_000_trials_on_1_000_gpus(
    size: str, seconds: str, benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = large_load(size, seconds)
    makespan_s = benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: drain(jobs, Scheduler({"only": 1000})), rounds=3
    )
    work_s = sum(job.shape.devices * job.seconds for job in jobs) / 1000
    bound_s = max(work_s, max(job.seconds for job in jobs))
    assert benchmark.stats is not None
    with capsys.disabled():
        print(
            f"\nsizes {size}, times {seconds}: scheduled in {benchmark.stats.stats.median:.2f} s, "
            f"makespan {makespan_s / bound_s:.4f} of the lower bound"
        )


class InOrder(Scheduler):
    """Starts no job before the largest that waits."""

    def _beside(self, *_: object) -> None:
        return None


class ByTurn(Scheduler):
    """Starts the jobs of one shape strictly in their order."""

    def start(self, now: float) -> list[Job]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Scheduler, "capacity", 0)
            return super().start(now)


def few_jobs(size: str, seconds: str) -> list[Job]:
    """Return six repeats of nine one-device blocks, one of which takes ten times as long."""
    times = [job.seconds for job in large_load(size, seconds)[:8]]
    times.append(10 * fmean(times))
    return [
        Job(9 * repeat + i, ResourceShape(1, 1, False), time_s, repeat)
        for repeat in range(6)
        for i, time_s in enumerate(times)
    ]


def many_jobs(size: str, seconds: str) -> list[Job]:
    """Return the first 1,000 of the jobs, each on whole nodes of 8 devices or on a part of one."""
    shapes = [
        ResourceShape(max(1, job.shape.devices // 8), min(8, job.shape.devices), False)
        for job in large_load(size, seconds)[:1000]
    ]
    jobs = large_load(size, seconds)
    return [replace(job, shape=shape) for job, shape in zip(jobs, shapes, strict=False)]


LOADS = {
    "6 repeats of 9 blocks on 8 devices": (few_jobs, 1),
    "1,000 jobs on 125 nodes of 8": (many_jobs, 125),
}


@pytest.mark.parametrize("load", LOADS)
def test_what_each_rule_of_the_scheduler_saves(
    load: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_jobs, n_nodes = LOADS[load]
    rows = [f"makespan over its lower bound, {load}, six mixes of sizes and times:"]
    for name, kind in {"all rules": Scheduler, "in order": InOrder, "by turn": ByTurn}.items():
        ratios = []
        for size, seconds in itertools.product(SIZES, TIMES):
            jobs = make_jobs(size, seconds)
            work_s = sum(job.work_s for job in jobs) / (8 * n_nodes)
            bound_s = max(work_s, max(job.seconds for job in jobs))
            ratios.append(drain(jobs, kind({f"n{i}": 8 for i in range(n_nodes)})) / bound_s)
        rows.append(f"{name:10} {fmean(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    with capsys.disabled():
        print("\n" + "\n".join(rows))


def test_simulating_10_000_trials_on_125_nodes(
    benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = mixed_blocks()
    executor = SimulatedExecutor(NODES, epoch_s)
    limits = Limits(trial_timeout_s=1e9)

    def run() -> float:
        records = executor.run(blocks, limits, lambda _: None)
        return sum((r.wall_s or 0.0) * len(r.devices) for r in records)

    devices_s = benchmark.pedantic(run, rounds=3)  # type: ignore[no-untyped-call]
    cluster, jobs = Scheduler({f"n{i}": n for i, n in enumerate(NODES)}), list[Job]()
    for number, block in enumerate(blocks):
        variant = block.trials[0].variant
        shape = ResourceShape(variant.workers, variant.replicas, variant.placement == "spread")
        jobs.append(job_of(number, block, shape, sum(NODES), estimated_trial_s))
    tracemalloc.start()
    started = time.perf_counter()
    drain(jobs, cluster)
    scheduling_s = time.perf_counter() - started
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert benchmark.stats is not None
    with capsys.disabled():
        print(
            f"\n10,000 trials on 125 nodes of 8: {benchmark.stats.stats.median:.1f} s with their "
            f"records; only scheduling {scheduling_s:.1f} s under tracemalloc, at most "
            f"{peak_bytes / 1e6:.0f} MB; makespan "
            f"{executor.makespan_s / (devices_s / sum(NODES)):.4f} of the work shared evenly"
        )
