"""Blocks on their way through a cluster, each on devices of its own; the cluster may shrink.

Usage:
    fleet = Fleet(cluster, blocks, open_lane)
    while fleet.busy:
        fleet.start()
        ...                                      # advance fleet.lanes
        yield from fleet.go_on_with(smaller)     # once nodes have been lost
        yield from fleet.see_to_waiting(free)    # once others hold what was thought to be free
        fleet.close_done()

A lost node ends the trials that ran on it. What they have still to do starts anew on the
nodes that are left; a trial for which these do not do is recorded as lost, not waited for.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.errors import ResourceError
from bench.execution.cluster import Cluster
from bench.execution.lane import Lane
from bench.execution.queue import job_of
from bench.execution.reservation import Bundle, Reservation
from bench.execution.scheduler import Scheduler
from bench.records.record import Status, TrialRecord
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
        self._given_up: dict[str, float] = {}
        """Nodes of blocks that waited in vain, and since when."""
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

    def start(self) -> None:
        """Open lanes for the blocks that fit now."""
        for job in self._scheduler.start(time.monotonic()):
            block, places = self._blocks[job.key], self._scheduler.places(job.key)
            lane = self._open_lane(block, self._cluster.reserve(block, places))
            # It waits on where another has given up, or a run would wait as often as it has blocks.
            waited = [self._given_up[node] for node in places if node in self._given_up]
            lane.claim.since = min([lane.claim.since, *waited])
            self._lanes[job.key] = lane

    def see_to_waiting(self, free: Callable[[], Mapping[str, Bundle]]) -> Iterator[TrialRecord]:
        """Find other nodes for blocks whose own others hold, or have them wait aloud, not for ever.

        ``free`` asks Ray for what others leave of each node.
        """
        stuck = [(number, lane) for number, lane in self._lanes.items() if lane.stuck]
        left = free() if stuck else {}
        for number, lane in stuck:
            elsewhere = self._scheduler.move(number, self._cluster.room(left))
            if elsewhere is not None:
                lane.claim.move(self._cluster.reserve(self._blocks[number], elsewhere))
                continue
            yield from lane.wait(self._cluster.told(left))
            if lane.done:
                nodes = lane.claim.reservation.nodes
                self._given_up.update(dict.fromkeys(nodes, lane.claim.since))

    def close_done(self) -> bool:
        """Give back the devices of blocks that have ended; whether there were any."""
        done = [number for number, lane in self._lanes.items() if lane.done]
        for number in done:
            self._close(number)
            del self._blocks[number]
        return bool(done)

    def abandon(self, status: Status, reason: str) -> Iterator[TrialRecord]:
        """The records of what runs, with nothing asked of Ray."""
        for lane in self.lanes:
            yield from lane.abandon(status, reason)

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
        # A gang that no node holds any more may fit several.
        moving += [job.key for job in self._scheduler.shrink(left)]
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
        lane = self._lanes.pop(number)
        lane.close()
        if lane.claim.granted:
            for node in lane.claim.reservation.nodes:
                self._given_up.pop(node, None)
        self._scheduler.finish(number)


def _not_run(block: Block, reason: str) -> Iterator[TrialRecord]:
    for trial in block.trials:
        error = f"not run: nodes of the cluster were lost: {reason}"
        yield TrialRecord(trial=trial, status="worker_lost", error=error)
