"""Which block runs next, and on which nodes: the largest first, smaller ones in the gaps.

Usage:
    scheduler = Scheduler({"node-a": 8, "node-b": 8})
    scheduler.add(Job(1, ResourceShape(bundles=2, devices_each=4), seconds=120.0))
    for job in scheduler.start(now): ...
    scheduler.places(1)                         # ("node-a", "node-a")
    scheduler.finish(1)

EASY backfilling (D. A. Lifka, JSSPP 1995, LNCS 949): where the largest waiting job does not
fit yet, the time at which it will is worked out from what runs, and a smaller one starts
early only if it ends by then or leaves that job room on the nodes. So devices do not stand
idle, and no large gang waits for ever behind small trials: it starts at the latest when all
have ended that were to end by the time that was worked out first.
"""

import bisect
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from bench.execution.scheduling.bin_packing import Places, ResourceShape, allocate, pack, release
from bench.execution.scheduling.queue import Job, Queue


class ReservedDevices(NamedTuple):
    """Room for the largest waiting job."""

    shape: ResourceShape
    at: float
    """When it will find it."""
    free: dict[str, int]
    """Devices of each node that nothing will run on then."""
    beside: dict[str, int]
    """What it leaves of them, on the nodes where it would be placed."""


class Scheduler:
    """Hands out the devices of nodes, of which each has so many."""

    def __init__(self, nodes: Mapping[str, int]) -> None:
        self._nodes, self._free = dict(nodes), dict(nodes)
        self._queue = Queue()
        self._running: dict[int, tuple[Job, Places]] = {}
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
        return bool(self._queue.shapes)

    def places(self, key: int) -> Places:
        """The node of each bundle of a job that was started."""
        return self._running[key][1]

    def add(self, job: Job) -> None:
        """Queue a job; ValueError where the nodes can never hold it."""
        if pack(job.shape, self._nodes) is None:
            raise ValueError(
                f"job {job.key} needs {job.shape.bundles} x {job.shape.devices_each} devices of "
                f"nodes that have {', '.join(map(str, self._nodes.values()))}"
            )
        self._queue.add(job)

    def start(self, now: float) -> list[Job]:
        """The jobs to start at ``now`` (seconds on any clock), their devices taken."""
        started = []
        while (found := self._next(now)) is not None:
            job, places = found
            allocate(self._free, job.shape, places)
            self._running[job.key] = found
            bisect.insort(self._ends, (now + job.seconds, job.key))
            started.append(job)
        return started

    def move(self, key: int, free: Mapping[str, int]) -> Places | None:
        """Other nodes for a job that was started and whose own others hold; None where none do.

        ``free`` is what they leave of each node.
        """
        job, places = self._running[key]
        release(self._free, job.shape, places)
        elsewhere = pack(job.shape, {n: min(own, free.get(n, 0)) for n, own in self._free.items()})
        allocate(self._free, job.shape, elsewhere or places)
        self._running[key] = job, elsewhere or places
        return None if elsewhere == places else elsewhere

    def finish(self, key: int) -> None:
        """Give back the devices of a job that was started; those of lost nodes are gone."""
        job, places = self._running.pop(key)
        self._ends = [end for end in self._ends if end[1] != key]
        release(self._free, job.shape, places)

    def shrink(self, nodes: Mapping[str, int]) -> list[Job]:
        """Go on with so many devices of these ``nodes``; the jobs that they never hold, taken out.

        On a node that stays, devices that go must be free.
        """
        self._free = {n: self._free[n] - (self._nodes[n] - size) for n, size in nodes.items()}
        self._nodes = dict(nodes)
        too_large = [shape for shape in self._queue.shapes if pack(shape, self._nodes) is None]
        return self._queue.drop(too_large)

    def _next(self, now: float) -> tuple[Job, Places] | None:
        shapes = self._queue.shapes
        if not shapes:
            return None
        if (places := pack(shapes[0], self._free)) is not None:
            return self._queue.pop(shapes[0], self.capacity), places
        reserved = None
        most = sum(self._free.values())
        for shape in shapes[1:]:
            if shape.devices > most or (places := pack(shape, self._free)) is None:
                continue
            reserved = reserved or self._reservation(shapes[0], now)
            if (beside := self._beside(reserved, shape, places)) is not None:
                return self._queue.pop(shape, self.capacity), beside
            if (job := self._queue.pop_within(shape, reserved.at - now)) is not None:
                return job, places
        return None

    def _reservation(self, shape: ResourceShape, now: float) -> ReservedDevices:
        free, at = dict(self._free), now
        room = sum(map(shape.bundles_on, free.values()))
        for ends_at, key in self._ends:
            if room >= shape.bundles:
                break
            job, places = self._running[key]
            nodes = [node for node in Counter(places) if node in free]
            room -= sum(shape.bundles_on(free[node]) for node in nodes)
            release(free, job.shape, places)
            room += sum(shape.bundles_on(free[node]) for node in nodes)
            at = max(at, ends_at)
        return ReservedDevices(
            shape, at, free, allocate(dict(free), shape, pack(shape, free) or ())
        )

    def _beside(
        self, reserved: ReservedDevices, shape: ResourceShape, best: Places
    ) -> Places | None:
        """Nodes on which a job may stay as long as it likes; None where it would be in the way."""
        least = {node: min(n, reserved.beside[node]) for node, n in self._free.items()}
        if (places := pack(shape, least)) is not None:
            return places
        # The largest job may find as much room elsewhere.
        left = pack(reserved.shape, allocate(dict(reserved.free), shape, best))
        return best if left is not None else None
