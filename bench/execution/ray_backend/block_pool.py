"""Blocks on their way through a cluster, each on devices of its own; the cluster may shrink.

Usage:
    fleet = BlockPool(cluster, blocks, open_lane)
    while fleet.busy:
        fleet.start()
        ...                                      # advance fleet.runners
        yield from fleet.handle_node_loss(smaller)     # once nodes have been lost
        for place, gpu in fleet.release_unfit(): ...     # GPUs to do without
        yield from fleet.exclude_gpus(smaller, reason)
        yield from fleet.handle_pending(free)    # once others hold what was thought to be free
        fleet.close_done()

A lost node ends the trials that ran on it. What they have still to do starts anew on the
nodes that are left; a trial for which these do not do is recorded as lost, not waited for. Blocks
on GPUs that were found unfit go elsewhere likewise, before anything of theirs has been trained.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.errors import ResourceError
from bench.execution.gpus.device_fitness import GpuSnapshot
from bench.execution.ray_backend.block_runner import BlockRunner
from bench.execution.ray_backend.worker import WorkerLocation
from bench.execution.scheduling.cluster import Cluster
from bench.execution.scheduling.queue import job_of
from bench.execution.scheduling.resources import Bundle, ResourceRequest
from bench.execution.scheduling.scheduler import Scheduler
from bench.records.trial_record import ExcludedGpus, Status, TrialRecord
from bench.spec.plan import Block, Trial


class BlockPool:
    """The lanes of a run, and the blocks that wait for one."""

    def __init__(
        self,
        cluster: Cluster,
        blocks: Sequence[Block],
        open_lane: Callable[[Block, ResourceRequest], BlockRunner],
    ) -> None:
        self._cluster, self._open_lane = cluster, open_lane
        self._scheduler = Scheduler(cluster.sizes)
        self._most_moves = cluster.capacity
        """How often a trial may find unfit GPUs: once each, should Ray give out the same again."""
        self._blocks = dict(enumerate(blocks))
        self._lanes: dict[int, BlockRunner] = {}
        self._given_up: dict[str, float] = {}
        """Nodes of blocks that waited in vain, and since when."""
        self._moving: list[int] = []
        """Blocks that had to leave their GPUs."""
        self._left: dict[str, list[ExcludedGpus]] = {}
        """The GPUs that a trial could not start on, by trial."""
        for number in self._blocks:
            self._queue(number)

    @property
    def busy(self) -> bool:
        """Whether anything is left to do."""
        return bool(self._lanes) or self._scheduler.waiting

    @property
    def runners(self) -> list[BlockRunner]:
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
            lane = self._open_lane(block, self._cluster.request_for(block, places))
            # It waits on where another has given up, or a run would wait as often as it has blocks.
            waited = [self._given_up[node] for node in places if node in self._given_up]
            lane.claim.since = min([lane.claim.since, *waited])
            self._lanes[job.key] = lane

    def handle_pending(self, free: Callable[[], Mapping[str, Bundle]]) -> Iterator[TrialRecord]:
        """Find other nodes for blocks whose own others hold, or have them wait aloud, not for ever.

        ``free`` asks Ray for what others leave of each node.
        """
        stuck = [(number, lane) for number, lane in self._lanes.items() if lane.poll_pending]
        left = free() if stuck else {}
        for number, lane in stuck:
            elsewhere = self._scheduler.move(number, self._cluster.free_devices(left))
            if elsewhere is not None:
                lane.claim.move(self._cluster.request_for(self._blocks[number], elsewhere))
                continue
            yield from lane.wait(self._cluster.free_text(left))
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
        for lane in self.runners:
            yield from lane.abandon(status, reason)

    def close(self) -> None:
        """Give back all devices, whatever runs on them."""
        for number in list(self._lanes):
            self._close(number)

    def handle_node_loss(self, smaller: Cluster | None) -> Iterator[TrialRecord]:
        """Go on with the nodes that are left; None where none is."""
        left = smaller.nodes if smaller else ()
        for number in [n for n, lane in self._lanes.items() if not lane.runs_on(left)]:
            yield from self._lanes[number].handle_node_loss()
            self._vacate(number)
        reason = "not run: nodes of the cluster were lost: too few are left"
        yield from self._place_anew(smaller, "worker_lost", reason)

    def release_unfit(self) -> Iterator[tuple[WorkerLocation, GpuSnapshot]]:
        """Close the lanes whose GPUs were found unfit, which ``go_on_without`` places anew.

        The GPUs, and the places of the workers that found them; they are given back by then.
        """
        for number, lane in [(n, lane) for n, lane in self._lanes.items() if lane.unfit]:
            trial_id = lane.remaining.trials[0].trial_id if lane.remaining else ""
            self._vacate(number)
            for place, gpu in lane.unfit:
                names = (gpu.uuid or gpu.name,)
                left_out = ExcludedGpus(node=place.node, devices=names, reason=gpu.unfit or "")
                self._left.setdefault(trial_id, []).append(left_out)
                yield place, gpu

    def exclude_gpus(self, smaller: Cluster, reason: str) -> Iterator[TrialRecord]:
        """Go on with fewer GPUs of some nodes, where ``reason`` names those that are left out."""
        whole = f"not run: too few GPUs are left: {reason}: end what runs there, then --resume"
        yield from self._place_anew(smaller, "timed_out", whole)

    def marked(self, record: TrialRecord) -> TrialRecord:
        """``record`` with the GPUs that its trial could not start on."""
        left_out = tuple(self._left.get(record.trial.trial_id, ()))
        return record.model_copy(update={"left_out": left_out}) if left_out else record

    def _vacate(self, number: int) -> None:
        """Close a lane; what it has still to do is to be placed anew."""
        rest = self._lanes[number].remaining
        if rest:
            self._blocks[number] = rest
            self._moving.append(number)
        else:
            del self._blocks[number]
        self._close(number)

    def _place_anew(
        self, cluster: Cluster | None, status: Status, reason: str
    ) -> Iterator[TrialRecord]:
        """Queue what had to leave its devices, and what ``cluster`` holds in another shape only.

        Records with ``status`` and ``reason`` of what it does not hold at all.
        """
        if cluster:
            self._cluster = cluster
        # A gang that no node holds any more may fit several.
        self._moving += [
            job.key for job in self._scheduler.shrink(cluster.sizes if cluster else {})
        ]
        while self._moving:
            number = self._moving.pop(0)
            first = self._blocks[number].trials[0]
            try:
                if len(self._left.get(first.trial_id, ())) > self._most_moves:
                    raise ResourceError(reason)
                self._queue(number)
            except (ResourceError, ValueError):
                for trial in self._blocks.pop(number).trials:
                    yield TrialRecord(trial=trial, status=status, error=reason)

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
