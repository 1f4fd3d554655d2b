"""The scheduler: laws that hold for any jobs, and how well it fills a large cluster."""

import heapq
import math
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.execution.scheduling.bin_packing import ResourceShape, allocate, pack, release
from bench.execution.scheduling.queue import Job
from bench.execution.scheduling.scheduler import Scheduler


@dataclass(frozen=True)
class Stay:
    """A job on its devices."""

    starts_at: float
    ends_at: float
    job: Job
    nodes: tuple[str, ...]


def as_guessed(job: Job) -> float:
    """A job's real time where its guess was right."""
    return job.seconds


def simulate(
    jobs: Sequence[Job],
    nodes: int | Mapping[str, int],
    real_s: Callable[[Job], float] = as_guessed,
) -> list[Stay]:
    """All jobs' stays, under a virtual clock, on one node of so many devices or on several."""
    scheduler = Scheduler({"only": nodes} if isinstance(nodes, int) else nodes)
    for job in jobs:
        scheduler.add(job)
    now, stays, running = 0.0, list[Stay](), list[tuple[float, int]]()
    while scheduler.waiting or running:
        for job in scheduler.start(now):
            stays.append(Stay(now, now + real_s(job), job, scheduler.nodes_of(job.key)))
            heapq.heappush(running, (stays[-1].ends_at, job.key))
        now = running[0][0]
        while running and running[0][0] == now:
            scheduler.finish(heapq.heappop(running)[1])
    return stays


def makespan_s(stays: Sequence[Stay]) -> float:
    return max(stay.ends_at for stay in stays)


def at_least_s(jobs: Sequence[Job], capacity: int, real_s: Callable[[Job], float]) -> float:
    """What no schedule can beat: the work shared evenly, the longest job."""
    work = sum(job.shape.devices * real_s(job) for job in jobs)
    return max(work / capacity, max(map(real_s, jobs)))


def of(key: int, devices: int, seconds: float, turn: int = 0) -> Job:
    """A job of one bundle."""
    return Job(key, ResourceShape(1, devices), seconds, turn)


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[Job], int]:
    """Jobs that fit, and how many devices there are."""
    capacity = draw(st.integers(1, 16))
    shapes = st.tuples(st.integers(1, capacity), st.floats(0.1, 100), st.integers(0, 3))
    asked = draw(st.lists(shapes, min_size=1, max_size=30))
    return [of(key, *each) for key, each in enumerate(asked)], capacity


@given(clusters(), st.randoms(use_true_random=False))
def test_no_more_devices_are_assigned_than_exist_even_with_wrong_estimates(
    cluster: tuple[list[Job], int], rng: random.Random
) -> None:
    jobs, capacity = cluster
    wrong = {job.key: rng.uniform(0.1, 10.0) for job in jobs}
    stays = simulate(jobs, capacity, lambda job: job.seconds * wrong[job.key])
    for moment in (stay.starts_at for stay in stays):
        there = [s.job.shape.devices for s in stays if s.starts_at <= moment < s.ends_at]
        assert sum(there) <= capacity


@given(clusters())
def test_every_job_runs_once(cluster: tuple[list[Job], int]) -> None:
    stays = simulate(*cluster)
    assert sorted(stay.job.key for stay in stays) == [job.key for job in cluster[0]]


@given(clusters())
def test_the_largest_jobs_wait_for_no_smaller_one(cluster: tuple[list[Job], int]) -> None:
    jobs, capacity = cluster
    largest = max(job.shape.devices for job in jobs)
    starts = [s.starts_at for s in simulate(jobs, capacity) if s.job.shape.devices == largest]
    # Of several the first in turn, or one that would outlast all the rest.
    assert min(starts) == 0.0


def test_a_large_job_does_not_starve_behind_small_ones_that_keep_coming() -> None:
    scheduler = Scheduler({"only": 4})
    scheduler.add(of(0, 1, 10.0))
    assert [job.key for job in scheduler.start(0.0)] == [0]
    scheduler.add(of(1, 4, 10.0))
    scheduler.add(of(2, 1, 5.0))
    scheduler.add(of(3, 1, 100.0))
    assert scheduler.start(0.0) == []
    scheduler.add(of(4, 1, 100.0))
    scheduler.finish(0)
    assert [job.key for job in scheduler.start(10.0)] == [1]


def test_a_small_job_may_stay_long_beside_a_large_one_that_leaves_it_room() -> None:
    scheduler = Scheduler({"only": 4})
    scheduler.add(of(0, 2, 10.0))
    scheduler.start(0.0)
    scheduler.add(of(1, 3, 10.0))
    scheduler.add(of(2, 1, 1000.0))
    assert [job.key for job in scheduler.start(0.0)] == [2]


@given(st.integers(1, 100), st.integers(1, 100))
def test_a_job_that_can_never_fit_is_refused(capacity: int, excess: int) -> None:
    scheduler = Scheduler({"only": capacity})
    with pytest.raises(
        ValueError, match=f"1 x {capacity + excess} devices of nodes that have {capacity}"
    ):
        scheduler.add(of(1, capacity + excess, 1.0))
    assert not scheduler.waiting


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[Job], dict[str, int]]:
    """Jobs of several bundles, each of which some set of nodes holds, and the nodes."""
    sizes = draw(st.lists(st.integers(1, 8), min_size=1, max_size=5))
    nodes = {f"n{i}": size for i, size in enumerate(sizes)}
    shapes = st.builds(ResourceShape, st.integers(1, 5), st.integers(1, 8), st.booleans())
    asked = draw(st.lists(st.tuples(shapes, st.floats(0.1, 100), st.integers(0, 3)), max_size=30))
    fitting = [each for each in asked if pack(each[0], nodes) is not None]
    return [Job(key, *each) for key, each in enumerate(fitting)], nodes


@given(networks(), st.randoms(use_true_random=False))
def test_no_node_ever_gives_more_than_it_has_and_every_job_runs_once(
    network: tuple[list[Job], dict[str, int]], rng: random.Random
) -> None:
    jobs, nodes = network
    wrong = {job.key: rng.uniform(0.1, 10.0) for job in jobs}
    stays = simulate(jobs, nodes, lambda job: job.seconds * wrong[job.key])
    for moment in (stay.starts_at for stay in stays):
        out: Counter[str] = Counter()
        for stay in stays:
            if stay.starts_at <= moment < stay.ends_at:
                for node in stay.nodes:
                    out[node] += stay.job.shape.devices_each
        assert all(out[node] <= nodes[node] for node in out)
    assert sorted(stay.job.key for stay in stays) == [job.key for job in jobs]


@given(networks())
def test_bundles_are_whole_and_those_that_are_spread_apart(
    network: tuple[list[Job], dict[str, int]],
) -> None:
    for stay in simulate(*network):
        assert len(stay.nodes) == stay.job.shape.bundles
        if stay.job.shape.spread:
            assert len(set(stay.nodes)) == len(stay.nodes)


@given(networks())
def test_the_largest_waiting_job_does_not_fit(
    network: tuple[list[Job], dict[str, int]],
) -> None:
    jobs, nodes = network
    scheduler = Scheduler(nodes)
    for job in jobs:
        scheduler.add(job)
    started = {job.key for job in scheduler.start(0.0)}
    left = [job for job in jobs if job.key not in started]
    if left:
        largest = min((job.shape for job in left), key=hardest_first)
        assert pack(largest, scheduler.free) is None


def test_a_bundle_that_fits_on_no_node_waits_although_devices_are_free() -> None:
    scheduler = Scheduler({"a": 4, "b": 4})
    for key in (0, 1):
        scheduler.add(Job(key, ResourceShape(1, 3), 10.0))
    assert [scheduler.nodes_of(job.key) for job in scheduler.start(0.0)] == [("a",), ("b",)]
    scheduler.add(Job(2, ResourceShape(1, 2), 10.0))
    scheduler.add(Job(3, ResourceShape(2, 1), 5.0))
    assert [job.key for job in scheduler.start(0.0)] == [3]
    scheduler.finish(0)
    scheduler.finish(3)
    assert [(job.key, scheduler.nodes_of(job.key)) for job in scheduler.start(10.0)] == [
        (2, ("a",))
    ]


@pytest.mark.parametrize(("first_s", "second_s"), [(10.0, 1000.0), (1000.0, 10.0)])
def test_a_large_job_keeps_its_node_and_small_ones_use_the_others(
    first_s: float, second_s: float
) -> None:
    scheduler = Scheduler({"a": 4, "b": 4})
    for key, seconds in enumerate((first_s, second_s)):
        scheduler.add(Job(key, ResourceShape(1, 3), seconds))
        scheduler.start(0.0)
    short, long = (0, 1) if first_s < second_s else (1, 0)
    scheduler.add(Job(2, ResourceShape(1, 4), 10.0))
    scheduler.add(Job(3, ResourceShape(1, 1), 1000.0))
    scheduler.add(Job(4, ResourceShape(1, 1), 1000.0))
    # One of them runs beside the job that stays; on the other node the large one is to come.
    started = scheduler.start(0.0)
    assert [scheduler.nodes_of(job.key) for job in started] == [scheduler.nodes_of(long)]
    scheduler.finish(short)
    assert [job.key for job in scheduler.start(10.0)] == [2]


def room_at(
    shape: ResourceShape, nodes: Mapping[str, int], there: Sequence[Stay], now: float
) -> float:
    """When ``shape`` finds room if nothing else is started and all guesses are right."""
    free, at = dict(nodes), now
    for stay in there:
        allocate(free, stay.job.shape, stay.nodes)
    for stay in sorted(there, key=lambda stay: stay.starts_at + stay.job.seconds):
        if pack(shape, free) is not None:
            break
        release(free, stay.job.shape, stay.nodes)
        at = max(at, stay.starts_at + stay.job.seconds)
    return at


@given(networks(), st.booleans(), st.randoms(use_true_random=False))
def test_no_earlier_job_delays_the_largest_beyond_its_estimate(
    network: tuple[list[Job], dict[str, int]], right: bool, rng: random.Random
) -> None:
    jobs, nodes = network
    wrong = {job.key: 1.0 if right else rng.uniform(0.1, 10.0) for job in jobs}
    scheduler, stays, now = Scheduler(nodes), list[Stay](), 0.0
    for job in jobs:
        scheduler.add(job)
    left, promised = {job.key: job for job in jobs}, dict[ResourceShape, float]()
    while left or any(stay.ends_at > now for stay in stays):
        for job in scheduler.start(now):
            del left[job.key]
            if job.shape in promised:
                # At once where what was to end by then has ended; at the time itself if it did.
                by = promised.pop(job.shape)
                ends = [s.ends_at for s in stays if s.starts_at + s.job.seconds <= by]
                assert now <= max([by, *ends])
            ends_at = now + job.seconds * wrong[job.key]
            stays.append(Stay(now, ends_at, job, scheduler.nodes_of(job.key)))
        there = [stay for stay in stays if stay.ends_at > now]
        if left:
            largest = min((job.shape for job in left.values()), key=hardest_first)
            promised.setdefault(largest, room_at(largest, nodes, there, now))
        assert there or not left
        now = min((stay.ends_at for stay in there), default=now)
        for stay in there:
            if stay.ends_at == now:
                scheduler.finish(stay.job.key)


def hardest_first(shape: ResourceShape) -> tuple[int, int, bool]:
    """The order in which shapes have their turn."""
    return -shape.devices, -shape.devices_each, not shape.spread


def test_a_job_moves_from_occupied_nodes_to_free_ones() -> None:
    scheduler = Scheduler({"a": 4, "b": 4, "c": 4})
    scheduler.add(Job(0, ResourceShape(2, 4), 10.0))
    scheduler.add(Job(1, ResourceShape(1, 2), 10.0))
    scheduler.start(0.0)
    assert (scheduler.nodes_of(0), scheduler.nodes_of(1)) == (("a", "b"), ("c",))
    assert scheduler.move(0, {"a": 4, "b": 1, "c": 4}) is None
    scheduler.finish(1)
    assert scheduler.move(0, {"a": 4, "b": 1, "c": 4}) == ("a", "c")
    assert scheduler.move(0, {"a": 4, "b": 1, "c": 4}) is None
    assert scheduler.free == {"a": 0, "b": 4, "c": 0}
    scheduler.finish(0)
    assert scheduler.free == {"a": 4, "b": 4, "c": 4}


@given(networks(), st.data())
def test_lost_nodes_are_not_assigned_again(
    network: tuple[list[Job], dict[str, int]], data: st.DataObject
) -> None:
    jobs, nodes = network
    scheduler = Scheduler(nodes)
    for job in jobs:
        scheduler.add(job)
    out = {job.key: job for job in scheduler.start(0.0)}
    left = {node: nodes[node] for node in nodes if data.draw(st.booleans())}
    dropped = scheduler.shrink(left)
    assert all(pack(job.shape, left) is None for job in dropped)
    done = {job.key for job in dropped}
    while out or scheduler.waiting:
        key = next(iter(out))
        done.add(key)
        out.pop(key)
        scheduler.finish(key)
        for job in scheduler.start(1.0):
            out[job.key] = job
            assert set(scheduler.nodes_of(job.key)) <= left.keys()
    assert done == {job.key for job in jobs}
    assert scheduler.free == left


SIZES: dict[str, Callable[[random.Random], int]] = {
    "any": lambda rng: rng.randint(1, 512),
    "powers of two": lambda rng: 2 ** rng.randint(0, 9),
    "mostly small": lambda rng: int(2 ** rng.uniform(0, 9)),
}
TIMES: dict[str, Callable[[random.Random], float]] = {
    "even": lambda rng: rng.uniform(10, 1000),
    "a few long": lambda rng: min(7200.0, rng.lognormvariate(5, 1)),
}


def large_load(size: str, seconds: str) -> list[Job]:
    """10,000 jobs in 100 turns."""
    rng = random.Random(1)
    return [of(i, SIZES[size](rng), TIMES[seconds](rng), i // 100) for i in range(10_000)]


@pytest.mark.slow
@pytest.mark.parametrize("guess", ["right", "wrong"])
@pytest.mark.parametrize("seconds", TIMES)
@pytest.mark.parametrize("size", SIZES)
def test_10_000_jobs_on_1_000_devices_take_at_most_5_percent_more_than_they_must(
    size: str, seconds: str, guess: str
) -> None:
    jobs, rng = large_load(size, seconds), random.Random(2)
    wrong = [math.exp(rng.gauss(0, 0.3)) if guess == "wrong" else 1.0 for _ in jobs]

    def real_s(job: Job) -> float:
        return job.seconds * wrong[job.key]

    stays = simulate(jobs, 1000, real_s)
    assert makespan_s(stays) <= 1.05 * at_least_s(jobs, 1000, real_s)


def test_the_scheduler_s_memory_is_linear_in_the_jobs() -> None:
    jobs = large_load("any", "even")[:3000]
    tracemalloc.start()
    try:
        simulate(jobs, 1000)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < 1000 * len(jobs)
