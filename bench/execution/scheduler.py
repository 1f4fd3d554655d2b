"""Which block runs next on so many devices: the largest first, smaller ones in the gaps.

Usage:
    scheduler = Scheduler(capacity=8)
    scheduler.add(Job(1, devices=4, seconds=120.0))
    for job in scheduler.start(now): ...
    scheduler.finish(1)

EASY backfilling (D. A. Lifka, JSSPP 1995, LNCS 949): where the largest waiting job does not
fit yet, the time at which it will is worked out from what runs, and a smaller one starts
early only if it ends by then or leaves that job its devices. So devices do not stand idle,
and no large gang waits for ever behind small trials.
"""

import bisect
from dataclasses import dataclass

from bench.execution.estimate import estimated_trial_s
from bench.spec.plan import Block


@dataclass(frozen=True)
class Job:
    """Something that takes ``devices`` at once for about ``seconds``."""

    key: int
    devices: int
    seconds: float
    turn: int = 0
    """Of jobs of one size, those of an earlier turn start first, and then the longest."""


def job_of(key: int, block: Block, devices: int, capacity: int) -> Job:
    """A block as a job. Its turn is its repeat; where blocks run one at a time, the plan's."""
    seconds = sum(estimated_trial_s(trial.variant) for trial in block.trials)
    return Job(key, devices, seconds, key if capacity == 1 else block.repeat)


class Scheduler:
    """Hands out ``capacity`` devices."""

    def __init__(self, capacity: int) -> None:
        self.capacity = self.free = capacity
        # By size; each list sorted so that its last job is the one to start.
        self._waiting: dict[int, list[tuple[int, float, int, Job]]] = {}
        self._running: dict[int, tuple[float, Job]] = {}

    @property
    def waiting(self) -> bool:
        """Whether a job has not been started yet."""
        return any(self._waiting.values())

    def add(self, job: Job) -> None:
        """Queue a job; ValueError where it needs more devices than there are."""
        if job.devices > self.capacity:
            raise ValueError(f"job {job.key} needs {job.devices} of {self.capacity} devices")
        entry = (-job.turn, job.seconds, -job.key, job)
        bisect.insort(self._waiting.setdefault(job.devices, []), entry)

    def start(self, now: float) -> list[Job]:
        """The jobs to start at ``now`` (seconds on any clock), their devices taken."""
        started = []
        while (job := self._next(now)) is not None:
            self.free -= job.devices
            self._running[job.key] = (now + job.seconds, job)
            started.append(job)
        return started

    def finish(self, key: int) -> None:
        """Give back the devices of a job that was started."""
        self.free += self._running.pop(key)[1].devices

    def shrink(self, capacity: int) -> list[Job]:
        """Go on with fewer devices; the waiting jobs that can never fit now, taken out.

        Until jobs finish, more devices may be out than there are: ``free`` is negative then.
        """
        self.free -= self.capacity - capacity
        self.capacity = capacity
        too_large = [size for size in self._waiting if size > capacity]
        return [entry[-1] for size in too_large for entry in self._waiting.pop(size)]

    def _next(self, now: float) -> Job | None:
        sizes = sorted((size for size, jobs in self._waiting.items() if jobs), reverse=True)
        if not sizes or self.free < 1:
            return None
        if sizes[0] <= self.free:
            return self._waiting[sizes[0]].pop()[-1]
        starts_at, spare = self._reservation(sizes[0], now)
        for size in sizes[1:]:
            if size > self.free:
                continue
            jobs = self._waiting[size]
            if size <= spare:
                return jobs.pop()[-1]
            for place in reversed(range(len(jobs))):
                if jobs[place][-1].seconds <= starts_at - now:
                    return jobs.pop(place)[-1]
        return None

    def _reservation(self, devices: int, now: float) -> tuple[float, int]:
        """When ``devices`` will be free, and how many more will be then."""
        free, at = self.free, now
        for ends_at, job in sorted(self._running.values(), key=lambda entry: entry[0]):
            if free >= devices:
                break
            free, at = free + job.devices, max(at, ends_at)
        return at, free - devices
