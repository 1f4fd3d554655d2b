"""Order the jobs that wait for devices: by shape, the largest first, and by turn.

Usage:
    queue = Queue()
    queue.add(Job(1, ResourceShape(bundles=2, devices_each=4), seconds=120.0))
    for shape in queue.shapes: ...
    job = queue.pop(shape, capacity=8)
"""

import bisect
from collections.abc import Callable, Collection
from dataclasses import dataclass

from bench.execution.scheduling.bin_packing import ResourceShape
from bench.spec.plan import Block
from bench.spec.variant import Variant


@dataclass(frozen=True)
class Job:
    """A piece of work that uses devices of ``shape`` at once for about ``seconds``."""

    key: int
    shape: ResourceShape
    seconds: float
    turn: int = 0
    """Jobs of one shape start by turn, then the longest first. Near the end, the longest job of all
    starts first, so that other devices do not idle while it ends.
    """

    @property
    def work_s(self) -> float:
        """Device-seconds."""
        return self.seconds * self.shape.devices


def job_of(
    key: int,
    block: Block,
    shape: ResourceShape,
    capacity: int,
    trial_s: Callable[[Variant], float],
) -> Job:
    """Return a block as a job; its turn is its repeat, or its position if blocks run singly.

    ``trial_s`` estimates the seconds of a variant's trial.
    """
    seconds = sum(trial_s(trial.variant) for trial in block.trials)
    return Job(key, shape, seconds, key if capacity == 1 else block.repeat)


class Queue:
    """The waiting jobs."""

    def __init__(self) -> None:
        # By shape; each list is sorted so that its last job is the next to start.
        self._jobs: dict[ResourceShape, list[tuple[int, float, int, Job]]] = {}
        self._shapes: list[ResourceShape] = []
        self._work_s = 0.0

    @property
    def shapes(self) -> list[ResourceShape]:
        """The shapes of waiting jobs, the largest first."""
        return [shape for shape in self._shapes if self._jobs[shape]]

    def add(self, job: Job) -> None:
        """Queue a job."""
        if job.shape not in self._jobs:
            self._jobs[job.shape] = []
            bisect.insort(self._shapes, job.shape, key=_largest_first)
        bisect.insort(self._jobs[job.shape], (-job.turn, job.seconds, -job.key, job))
        self._work_s += job.work_s

    def pop(self, shape: ResourceShape, capacity: int) -> Job:
        """Take the next job, or one that would outlast all waiting work on all devices."""
        jobs = self._jobs[shape]
        longest = max(range(len(jobs)), key=lambda index: jobs[index][1:])
        outlasts = jobs[longest][-1].seconds * capacity > self._work_s
        return self._remove(shape, longest if outlasts else -1)

    def drop(self, shapes: Collection[ResourceShape]) -> list[Job]:
        """Remove and return all jobs of these shapes."""
        return [self._remove(shape, -1) for shape in shapes for _ in list(self._jobs[shape])]

    def _remove(self, shape: ResourceShape, index: int) -> Job:
        job = self._jobs[shape].pop(index)[-1]
        self._work_s -= job.work_s
        return job


def _largest_first(shape: ResourceShape) -> tuple[int, int, bool]:
    return -shape.devices, -shape.devices_each, not shape.spread
