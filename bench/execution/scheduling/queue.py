"""The jobs that wait for devices: by what they take, the largest first, and in turn.

Usage:
    queue = Queue()
    queue.add(Job(1, ResourceShape(bundles=2, devices_each=4), seconds=120.0))
    for shape in queue.shapes: ...
    job = queue.pop(shape, capacity=8)
"""

import bisect
from collections.abc import Collection
from dataclasses import dataclass

from bench.execution.estimation.estimator import estimated_trial_s
from bench.execution.scheduling.bin_packing import ResourceShape
from bench.spec.plan import Block


@dataclass(frozen=True)
class Job:
    """Something that takes devices of ``shape`` at once for about ``seconds``."""

    key: int
    shape: ResourceShape
    seconds: float
    turn: int = 0
    """Of jobs of one shape, those of an earlier turn start first, and then the longest; in the
    end, so that none drags on alone, the longest of all."""

    @property
    def work_s(self) -> float:
        """Seconds of all its devices."""
        return self.seconds * self.shape.devices


def job_of(key: int, block: Block, shape: ResourceShape, capacity: int) -> Job:
    """A block as a job. Its turn is its repeat; where blocks run one at a time, the plan's."""
    seconds = sum(estimated_trial_s(trial.variant) for trial in block.trials)
    return Job(key, shape, seconds, key if capacity == 1 else block.repeat)


class Queue:
    """Jobs that wait."""

    def __init__(self) -> None:
        # By shape, the largest first; each list sorted so that its last job is the next to start.
        self._jobs: dict[ResourceShape, list[tuple[int, float, int, Job]]] = {}
        self._shapes: list[ResourceShape] = []
        self._work_s = 0.0

    @property
    def shapes(self) -> list[ResourceShape]:
        """Those of which a job waits, the largest first."""
        return [shape for shape in self._shapes if self._jobs[shape]]

    def add(self, job: Job) -> None:
        """Queue a job."""
        if job.shape not in self._jobs:
            self._jobs[job.shape] = []
            bisect.insort(self._shapes, job.shape, key=_largest_first)
        bisect.insort(self._jobs[job.shape], (-job.turn, job.seconds, -job.key, job))
        self._work_s += job.work_s

    def pop(self, shape: ResourceShape, capacity: int) -> Job:
        """The next in turn, or one that would outlast all that waits, shared by all devices."""
        jobs = self._jobs[shape]
        longest = max(range(len(jobs)), key=lambda index: jobs[index][1:])
        outlasts = jobs[longest][-1].seconds * capacity > self._work_s
        return self._taken(shape, longest if outlasts else -1)

    def pop_within(self, shape: ResourceShape, seconds: float) -> Job | None:
        """The next in turn of those that take at most so long."""
        jobs = self._jobs[shape]
        for index in reversed(range(len(jobs))):
            if jobs[index][-1].seconds <= seconds:
                return self._taken(shape, index)
        return None

    def drop(self, shapes: Collection[ResourceShape]) -> list[Job]:
        """All jobs of those shapes, taken out."""
        return [self._taken(shape, -1) for shape in shapes for _ in list(self._jobs[shape])]

    def _taken(self, shape: ResourceShape, index: int) -> Job:
        job = self._jobs[shape].pop(index)[-1]
        self._work_s -= job.work_s
        return job


def _largest_first(shape: ResourceShape) -> tuple[int, int, bool]:
    return -shape.devices, -shape.devices_each, not shape.spread
