"""Blocks on their way through a cluster, each on devices of its own; the cluster may shrink.

Usage:
    fleet = Fleet(cluster, blocks, open_lane)
    while fleet.busy:
        yield from fleet.start()
        ...                                      # advance fleet.lanes
        yield from fleet.go_on_with(smaller)     # once nodes have been lost
        fleet.close_done()

A lost node ends the trials that ran on it. What they have still to do starts anew on the
nodes that are left; a trial for which these do not do is recorded as lost, not waited for.
"""

import time
from collections.abc import Callable, Iterator, Sequence

from bench.errors import ResourceError
from bench.execution.cluster import Cluster, Reservation
from bench.execution.lane import Lane
from bench.execution.scheduler import Scheduler, job_of
from bench.records.record import TrialRecord
from bench.spec.plan import Block, Trial


class Fleet:
    """The lanes of a run, and the blocks that wait for one."""

    def __init__(
        self,
        cluster: Cluster,
        blocks: Sequence[Block],
        open_lane: Callable[[Block, Reservation], Lane],
    ) -> None:
        self._cluster, self._open_lane = cluster, open_lane
        self._scheduler = Scheduler(cluster.sizes)
        self._blocks = dict(enumerate(blocks))
        self._lanes: dict[int, Lane] = {}
        for number in self._blocks:
            self._queue(number)

    @property
    def busy(self) -> bool:
        """Whether anything is left to do."""
        return bool(self._lanes) or self._scheduler.waiting

    @property
    def lanes(self) -> list[Lane]:
        """The blocks that have their devices, or are about to get them."""
        return list(self._lanes.values())

    @property
    def trials(self) -> Iterator[Trial]:
        """Those of all blocks that have not ended."""
        return (trial for block in self._blocks.values() for trial in block.trials)

    def start(self) -> Iterator[TrialRecord]:
        """Open lanes for the blocks that fit now."""
        for job in self._scheduler.start(time.monotonic()):
            block = self._blocks[job.key]
            try:
                self._cluster.shape_of(block)
            except ResourceError as error:
                self._scheduler.finish(job.key)
                del self._blocks[job.key]
                yield from _not_run(block, str(error))
                continue
            reservation = self._cluster.reserve(block, self._scheduler.places(job.key))
            self._lanes[job.key] = self._open_lane(block, reservation)

    def close_done(self) -> bool:
        """Give back the devices of blocks that have ended; whether there were any."""
        done = [number for number, lane in self._lanes.items() if lane.done]
        for number in done:
            self._close(number)
            del self._blocks[number]
        return bool(done)

    def close(self) -> None:
        """Give back all devices, whatever runs on them."""
        for number in list(self._lanes):
            self._close(number)

    def go_on_with(self, smaller: Cluster | None) -> Iterator[TrialRecord]:
        """Go on with the nodes that are left; None where none is."""
        left = smaller.nodes if smaller else ()
        moving = []
        for number in [n for n, lane in self._lanes.items() if not lane.stands_on(left)]:
            lane = self._lanes[number]
            yield from lane.lose()
            if lane.rest:
                self._blocks[number] = lane.rest
                moving.append(number)
            else:
                del self._blocks[number]
            self._close(number)
        if smaller:
            self._cluster = smaller
        for job in self._scheduler.shrink(left):
            yield from _not_run(self._blocks.pop(job.key), "too few are left")
        for number in moving:
            try:
                self._queue(number)
            except (ResourceError, ValueError):
                yield from _not_run(self._blocks.pop(number), "too few are left")

    def _queue(self, number: int) -> None:
        block = self._blocks[number]
        shape, capacity = self._cluster.shape_of(block), self._scheduler.capacity
        self._scheduler.add(job_of(number, block, shape, capacity))

    def _close(self, number: int) -> None:
        self._lanes.pop(number).close()
        self._scheduler.finish(number)


def _not_run(block: Block, reason: str) -> Iterator[TrialRecord]:
    for trial in block.trials:
        error = f"not run: nodes of the cluster were lost: {reason}"
        yield TrialRecord(trial=trial, status="worker_lost", error=error)
