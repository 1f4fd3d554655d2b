"""Which block runs next, and on which nodes: the largest first, smaller ones in the gaps.

Usage:
    scheduler = Scheduler({"node-a": 8, "node-b": 8})
    scheduler.add(Job(1, Shape(bundles=2, devices_each=4), seconds=120.0))
    for job in scheduler.start(now): ...
    scheduler.places(1)                         # ("node-a", "node-a")
    scheduler.finish(1)

EASY backfilling (D. A. Lifka, JSSPP 1995, LNCS 949): where the largest waiting job does not
fit yet, the time at which it will is worked out from what runs, and a smaller one starts
early only if it ends by then or leaves that job room on the nodes. So devices do not stand
idle, and no large gang waits for ever behind small trials.
"""

import bisect
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bench.execution.estimate import estimated_trial_s
from bench.execution.placing import Shape, place
from bench.spec.plan import Block


@dataclass(frozen=True)
class Job:
    """Something that takes devices of ``shape`` at once for about ``seconds``."""

    key: int
    shape: Shape
    seconds: float
    turn: int = 0
    """Of jobs of one shape, those of an earlier turn start first, and then the longest; in the
    end, so that none drags on alone, the longest of all."""


def job_of(key: int, block: Block, shape: Shape, capacity: int) -> Job:
    """A block as a job. Its turn is its repeat; where blocks run one at a time, the plan's."""
    seconds = sum(estimated_trial_s(trial.variant) for trial in block.trials)
    return Job(key, shape, seconds, key if capacity == 1 else block.repeat)


class Scheduler:
    """Hands out the devices of nodes, of which each has so many."""

    def __init__(self, nodes: Mapping[str, int]) -> None:
        self._nodes, self._free = dict(nodes), dict(nodes)
        # By shape, the largest first; each list sorted so that its last job is the next to start.
        self._waiting: dict[Shape, list[tuple[int, float, int, Job]]] = {}
        self._shapes: list[Shape] = []
        self._work_s = 0.0
        self._running: dict[int, tuple[Job, tuple[str, ...]]] = {}
        self._ends: list[tuple[float, int]] = []

    @property
    def capacity(self) -> int:
        """Devices of all nodes."""
        return sum(self._nodes.values())

    @property
    def free(self) -> Mapping[str, int]:
        """Devices of each node that nothing runs on."""
        return self._free

    @property
    def waiting(self) -> bool:
        """Whether a job has not been started yet."""
        return any(self._waiting.values())

    def places(self, key: int) -> tuple[str, ...]:
        """The node of each bundle of a job that was started."""
        return self._running[key][1]

    def add(self, job: Job) -> None:
        """Queue a job; ValueError where the nodes can never hold it."""
        if place(job.shape, self._nodes) is None:
            raise ValueError(
                f"job {job.key} needs {job.shape.bundles} x {job.shape.devices_each} devices of "
                f"nodes that have {', '.join(map(str, self._nodes.values()))}"
            )
        if job.shape not in self._waiting:
            self._waiting[job.shape] = []
            bisect.insort(self._shapes, job.shape, key=_largest_first)
        bisect.insort(self._waiting[job.shape], (-job.turn, job.seconds, -job.key, job))
        self._work_s += job.seconds * job.shape.devices

    def start(self, now: float) -> list[Job]:
        """The jobs to start at ``now`` (seconds on any clock), their devices taken."""
        started = []
        while (found := self._next(now)) is not None:
            job, places = found
            _take(self._free, job.shape, places)
            self._work_s -= job.seconds * job.shape.devices
            self._running[job.key] = found
            bisect.insort(self._ends, (now + job.seconds, job.key))
            started.append(job)
        return started

    def finish(self, key: int) -> None:
        """Give back the devices of a job that was started; those of lost nodes are gone."""
        job, places = self._running.pop(key)
        self._ends = [end for end in self._ends if end[1] != key]
        for node in places:
            if node in self._free:
                self._free[node] += job.shape.devices_each

    def shrink(self, nodes: Collection[str]) -> list[Job]:
        """Go on with those ``nodes`` alone; the waiting jobs that they never hold, taken out."""
        self._nodes = {node: n for node, n in self._nodes.items() if node in nodes}
        self._free = {node: n for node, n in self._free.items() if node in nodes}
        too_large = [shape for shape in self._shapes if place(shape, self._nodes) is None]
        self._shapes = [shape for shape in self._shapes if shape not in too_large]
        dropped = [entry[-1] for shape in too_large for entry in self._waiting.pop(shape)]
        self._work_s -= sum(job.seconds * job.shape.devices for job in dropped)
        return dropped

    def _next(self, now: float) -> tuple[Job, tuple[str, ...]] | None:
        shapes = [shape for shape in self._shapes if self._waiting[shape]]
        if not shapes:
            return None
        largest, *smaller = shapes
        if (places := place(largest, self._free)) is not None:
            return self._pop(largest), places
        reservation = None
        most_free = sum(self._free.values())
        for shape in smaller:
            if shape.devices > most_free or (places := place(shape, self._free)) is None:
                continue
            reservation = reservation or self._reservation(largest, now)
            starts_at, free_then = reservation
            jobs = self._waiting[shape]
            beside = _take(dict(free_then), shape, places)
            if place(largest, beside) is not None:
                return self._pop(shape), places
            for index in reversed(range(len(jobs))):
                if jobs[index][-1].seconds <= starts_at - now:
                    return jobs.pop(index)[-1], places
        return None

    def _pop(self, shape: Shape) -> Job:
        """The next in turn, or one that would outlast all that waits, shared evenly."""
        jobs = self._waiting[shape]
        index = max(range(len(jobs)), key=lambda i: jobs[i][1:])
        outlasts = jobs[index][-1].seconds * self.capacity > self._work_s
        return jobs.pop(index if outlasts else -1)[-1]

    def _reservation(self, shape: Shape, now: float) -> tuple[float, dict[str, int]]:
        """When ``shape`` will find room, and what will be free then."""
        free, at = dict(self._free), now
        room = sum(map(shape.room_on, free.values()))
        for ends_at, key in self._ends:
            if room >= shape.bundles:
                break
            job, places = self._running[key]
            for node, bundles in Counter(places).items():
                if node in free:
                    room -= shape.room_on(free[node])
                    free[node] += bundles * job.shape.devices_each
                    room += shape.room_on(free[node])
            at = max(at, ends_at)
        return at, free


def _largest_first(shape: Shape) -> tuple[int, int, bool]:
    return -shape.devices, -shape.devices_each, not shape.spread


def _take(free: dict[str, int], shape: Shape, places: tuple[str, ...]) -> dict[str, int]:
    for node in places:
        free[node] -= shape.devices_each
    return free
