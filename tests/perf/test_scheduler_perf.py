"""How long scheduling itself takes: 10,000 trials of mixed size on 1,000 simulated GPUs.

    python -m pytest tests/perf/test_scheduler_perf.py -m perf

Prints figures and judges none. To reach: under a minute.
"""

import heapq

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.execution.scheduler import Job, Scheduler
from tests.execution.test_scheduler import SIZES, TIMES, large_load

pytestmark = pytest.mark.perf


def drain(jobs: list[Job]) -> float:
    """Schedule all jobs; the makespan."""
    scheduler = Scheduler(1000)
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
        lambda: drain(jobs), rounds=3
    )
    work_s = sum(job.devices * job.seconds for job in jobs) / 1000
    bound_s = max(work_s, max(job.seconds for job in jobs))
    assert benchmark.stats is not None
    with capsys.disabled():
        print(
            f"\nsizes {size}, times {seconds}: scheduled in {benchmark.stats.stats.median:.2f} s, "
            f"makespan {makespan_s / bound_s:.4f} of the lower bound"
        )
