"""Decide which job runs next, and on which nodes: the largest first, smaller ones in the gaps.

Usage:
    scheduler = Scheduler({"node-a": 8, "node-b": 8})
    scheduler.add(Job(1, ResourceShape(bundles=2, devices_each=4), seconds=120.0))
    for job in scheduler.start(now): ...
    scheduler.nodes_of(1)                       # ("node-a", "node-a")
    scheduler.finish(1)

Backfilling after EASY (D. A. Lifka, JSSPP 1995, LNCS 949): if the largest waiting job does not fit
yet, the scheduler estimates from the running jobs which devices it will get. A smaller job starts
early only if it leaves the large job these devices. So few devices are idle, and no large job waits
for ever behind small ones: it starts at the latest when all jobs have ended that were expected to
end by the first estimate. EASY also starts a job that takes these devices but ends in time: that
rule is left out, because it made simulated plans no shorter. docs/performance.md says what the
others save.
"""

import bisect
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from bench.execution.scheduling.bin_packing import NodeNames, ResourceShape, allocate, pack, release
from bench.execution.scheduling.queue import Job, Queue


class ReservedDevices(NamedTuple):
    """The devices that are reserved for the largest waiting job."""

    shape: ResourceShape
    free: dict[str, int]
    """Devices of each node that will be free then."""
    beside: dict[str, int]
    """What the job leaves of them, on the nodes where it would run."""


class Scheduler:
    """Assigns devices to jobs; ``nodes`` maps each node to its number of devices."""

    def __init__(self, nodes: Mapping[str, int]) -> None:
        self._nodes, self._free = dict(nodes), dict(nodes)
        self._queue = Queue()
        self._running: dict[int, tuple[Job, NodeNames]] = {}
        self._ends: list[tuple[float, int]] = []

    @property
    def capacity(self) -> int:
        """Devices of all nodes."""
        return sum(self._nodes.values())

    @property
    def free(self) -> Mapping[str, int]:
        """Free devices of each node."""
        return self._free

    @property
    def waiting(self) -> bool:
        """Whether a job has not started yet."""
        return bool(self._queue.shapes)

    def nodes_of(self, key: int) -> NodeNames:
        """Return the node of each bundle of a running job."""
        return self._running[key][1]

    def add(self, job: Job) -> None:
        """Queue a job; ValueError if the nodes can never hold it."""
        if pack(job.shape, self._nodes) is None:
            raise ValueError(
                f"job {job.key} needs {job.shape.bundles} x {job.shape.devices_each} devices of "
                f"nodes that have {', '.join(map(str, self._nodes.values()))}"
            )
        self._queue.add(job)

    def start(self, now: float) -> list[Job]:
        """Return the jobs to start at ``now`` (seconds on any clock), and assign their devices."""
        started = []
        while (assignment := self._next()) is not None:
            job, nodes = assignment
            allocate(self._free, job.shape, nodes)
            self._running[job.key] = assignment
            bisect.insort(self._ends, (now + job.seconds, job.key))
            started.append(job)
        return started

    def move(self, key: int, free: Mapping[str, int]) -> NodeNames | None:
        """Move a job to other nodes because other work occupies its nodes; None if none are free.

        ``free`` is what other work leaves of each node.
        """
        job, nodes = self._running[key]
        release(self._free, job.shape, nodes)
        available = {node: min(count, free.get(node, 0)) for node, count in self._free.items()}
        new_nodes = pack(job.shape, available)
        allocate(self._free, job.shape, new_nodes or nodes)
        self._running[key] = job, new_nodes or nodes
        return None if new_nodes == nodes else new_nodes

    def finish(self, key: int) -> None:
        """Give back the devices of a running job, except those of lost nodes."""
        job, nodes = self._running.pop(key)
        self._ends = [end for end in self._ends if end[1] != key]
        release(self._free, job.shape, nodes)

    def shrink(self, nodes: Mapping[str, int]) -> list[Job]:
        """Continue with ``nodes`` and remove the jobs that they can never hold; return those jobs.

        On a node that remains, the devices that are removed must be free.
        """
        self._free = {n: self._free[n] - (self._nodes[n] - size) for n, size in nodes.items()}
        self._nodes = dict(nodes)
        too_large = [shape for shape in self._queue.shapes if pack(shape, self._nodes) is None]
        return self._queue.drop(too_large)

    def _next(self) -> tuple[Job, NodeNames] | None:
        shapes = self._queue.shapes
        if not shapes:
            return None
        if (nodes := pack(shapes[0], self._free)) is not None:
            return self._queue.pop(shapes[0], self.capacity), nodes
        reserved = None
        total_free = sum(self._free.values())
        for shape in shapes[1:]:
            if shape.devices > total_free or (nodes := pack(shape, self._free)) is None:
                continue
            reserved = reserved or self._reservation(shapes[0])
            if (beside := self._beside(reserved, shape, nodes)) is not None:
                return self._queue.pop(shape, self.capacity), beside
        return None

    def _reservation(self, shape: ResourceShape) -> ReservedDevices:
        free = dict(self._free)
        room = sum(map(shape.bundles_on, free.values()))
        for _, key in self._ends:
            if room >= shape.bundles:
                break
            job, nodes = self._running[key]
            remaining = [node for node in Counter(nodes) if node in free]
            room -= sum(shape.bundles_on(free[node]) for node in remaining)
            release(free, job.shape, nodes)
            room += sum(shape.bundles_on(free[node]) for node in remaining)
        return ReservedDevices(shape, free, allocate(dict(free), shape, pack(shape, free) or ()))

    def _beside(
        self, reserved: ReservedDevices, shape: ResourceShape, best: NodeNames
    ) -> NodeNames | None:
        """Return nodes on which a job of any length does not delay the largest, or None."""
        least = {node: min(n, reserved.beside[node]) for node, n in self._free.items()}
        if (nodes := pack(shape, least)) is not None:
            return nodes
        # The largest job may fit elsewhere just as well.
        other_nodes = pack(reserved.shape, allocate(dict(reserved.free), shape, best))
        return best if other_nodes is not None else None
