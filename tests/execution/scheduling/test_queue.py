"""Jobs that wait: by size, in turn, and the longest before it is too late for it."""

from hypothesis import given
from hypothesis import strategies as st

from bench.execution.scheduling.bin_packing import ResourceShape
from bench.execution.scheduling.queue import Job, Queue

ONE = ResourceShape(1, 1)


def queue_of(*jobs: Job) -> Queue:
    queue = Queue()
    for job in jobs:
        queue.add(job)
    return queue


def test_shapes_come_by_their_devices_then_the_hardest_to_place() -> None:
    shapes = [
        ResourceShape(2, 4),
        ResourceShape(1, 8, spread=True),
        ResourceShape(1, 8),
        ResourceShape(9, 1),
        ONE,
    ]
    queue = queue_of(*(Job(key, shape, 1.0) for key, shape in enumerate(shapes)))
    assert queue.shapes == [
        ResourceShape(9, 1),
        ResourceShape(1, 8, spread=True),
        ResourceShape(1, 8),
        ResourceShape(2, 4),
        ONE,
    ]


@given(st.lists(st.tuples(st.floats(0.1, 100), st.integers(0, 3)), min_size=1, max_size=30))
def test_turn_by_turn_and_then_the_longest_first(asked: list[tuple[float, int]]) -> None:
    jobs = [Job(key, ONE, *each) for key, each in enumerate(asked)]
    queue = queue_of(*jobs)
    # One device has all of the work to itself: no job outlasts what waits.
    popped = [queue.pop(ONE, capacity=1) for _ in jobs]
    assert popped == sorted(jobs, key=lambda job: (job.turn, -job.seconds, job.key))
    assert queue.shapes == []


def test_a_job_that_would_outlast_the_others_does_not_wait_for_its_turn() -> None:
    queue = queue_of(*(Job(key, ONE, 10.0) for key in range(4)), Job(4, ONE, 31.0, turn=1))
    assert [queue.pop(ONE, capacity=2).key for _ in range(2)] == [0, 4]


def test_jobs_of_some_shapes_can_be_removed() -> None:
    queue = queue_of(
        Job(0, ONE, 1.0), Job(1, ResourceShape(1, 2), 1.0), Job(2, ResourceShape(1, 2), 2.0)
    )
    assert {job.key for job in queue.drop([ResourceShape(1, 2)])} == {1, 2}
    assert queue.shapes == [ONE]
