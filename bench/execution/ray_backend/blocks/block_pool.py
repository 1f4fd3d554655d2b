"""Run the blocks of a plan on a cluster that may shrink, each block on its own devices.

Usage:
    pool = BlockPool(cluster, blocks, open_runner)
    while pool.busy:
        pool.start()
        ...                                            # advance pool.runners
        yield from pool.handle_node_loss(smaller)      # after nodes were lost
        yield from pool.requeue_displaced()
        for location, gpu in pool.release_unfit(): ... # GPUs to exclude
        yield from pool.exclude_gpus(smaller, reason)
        yield from pool.handle_pending(free)           # when other work occupies devices
        pool.close_done()

A lost node ends the trials that ran on it; the others of their blocks go on. The trials that remain
then start again on the remaining nodes. If these are too few for a trial, it is recorded as lost
and does not wait. Blocks whose GPUs were found unfit move in the same way, before any of their
trials has trained.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.errors import ResourceError
from bench.execution.estimation.estimator import estimated_trial_s
from bench.execution.gpus.gpu_fitness import GpuSnapshot
from bench.execution.ray_backend.blocks.block_runner import BlockRunner, State
from bench.execution.ray_backend.workers.worker_location import WorkerLocation
from bench.execution.scheduling.cluster import Cluster
from bench.execution.scheduling.queue import job_of
from bench.execution.scheduling.resources import Bundle, ResourceRequest
from bench.execution.scheduling.scheduler import Scheduler
from bench.records.trial_record import ExcludedGpus, Status, TrialRecord
from bench.spec.plan import Block, Trial

_TOO_FEW_NODES = (
    "not run: nodes were lost and too few remain: restart them, then continue with --resume"
)


class BlockPool:
    """The running blocks of a run, and the blocks that wait for devices."""

    def __init__(
        self,
        cluster: Cluster,
        blocks: Sequence[Block],
        open_runner: Callable[[Block, ResourceRequest], BlockRunner],
    ) -> None:
        self._cluster, self._open_runner = cluster, open_runner
        self._scheduler = Scheduler(cluster.sizes)
        self._max_moves = cluster.capacity
        """How often a trial may find unfit GPUs: once per GPU, because Ray may assign the same one
        again.
        """
        self._blocks = dict(enumerate(blocks))
        self._runners: dict[int, BlockRunner] = {}
        self._waiting_since: dict[str, float] = {}
        """When the wait began on each node whose block gave up at its time limit."""
        self._to_requeue: list[int] = []
        """Blocks that have lost their devices and must be queued again."""
        self._left_out: dict[str, list[ExcludedGpus]] = {}
        """The GPUs that a trial could not start on, by trial id."""
        for number in self._blocks:
            self._queue(number)

    @property
    def busy(self) -> bool:
        """Whether any block runs or waits."""
        return bool(self._runners) or self._scheduler.waiting

    @property
    def runners(self) -> list[BlockRunner]:
        """The blocks that have their devices or have requested them."""
        return list(self._runners.values())

    @property
    def trials(self) -> Iterator[Trial]:
        """The trials of all blocks that have not ended."""
        return (trial for block in self._blocks.values() for trial in block.trials)

    def start(self) -> None:
        """Start the blocks that fit now."""
        for job in self._scheduler.start(time.monotonic()):
            block, nodes = self._blocks[job.key], self._scheduler.nodes_of(job.key)
            runner = self._open_runner(block, self._cluster.request_for(block, nodes))
            # The wait counts from that of a block that gave up on the same node. Otherwise a run
            # would wait once per block.
            waited = [self._waiting_since[node] for node in nodes if node in self._waiting_since]
            runner.placement.since = min([runner.placement.since, *waited])
            self._runners[job.key] = runner

    def handle_pending(self, free: Callable[[], Mapping[str, Bundle]]) -> Iterator[TrialRecord]:
        """Move blocks whose nodes are occupied; if no node is free, report the wait and time out.

        ``free`` asks Ray for the resources that other work leaves on each node.
        """
        blocked = [
            (number, runner) for number, runner in self._runners.items() if runner.is_blocked
        ]
        resources = free() if blocked else {}
        for number, runner in blocked:
            new_nodes = self._scheduler.move(number, self._cluster.free_devices(resources))
            if new_nodes is not None:
                runner.placement.move(self._cluster.request_for(self._blocks[number], new_nodes))
                continue
            yield from runner.wait(self._cluster.free_text(resources))
            if runner.state is State.DONE:
                nodes = runner.placement.request.nodes
                self._waiting_since.update(dict.fromkeys(nodes, runner.placement.since))

    def close_done(self) -> bool:
        """Give back the devices of blocks that have ended; return whether there were any."""
        done = [n for n, runner in self._runners.items() if runner.state is State.DONE]
        for number in done:
            self._close(number)
            del self._blocks[number]
        return bool(done)

    def abandon(self, status: Status, reason: str) -> Iterator[TrialRecord]:
        """Yield the records of the running trials, without a call to Ray."""
        for runner in self.runners:
            yield from runner.abandon(status, reason)

    def close(self) -> None:
        """Give back all devices and end the trials that run on them."""
        for number in list(self._runners):
            self._close(number)

    def handle_node_loss(self, smaller: Cluster | None) -> Iterator[TrialRecord]:
        """Continue on the remaining nodes, ``smaller``; None if no node remains."""
        nodes = smaller.nodes if smaller else ()
        for number in [n for n, runner in self._runners.items() if not runner.runs_on(nodes)]:
            runner = self._runners[number]
            yield from runner.handle_node_loss(nodes)
            if runner.state is not State.RUNNING:
                self._vacate(number)
        yield from self._requeue(smaller, "worker_lost", _TOO_FEW_NODES)

    def requeue_displaced(self) -> Iterator[TrialRecord]:
        """Queue blocks again that have lost nodes and have ended on the others."""
        displaced = [n for n, runner in self._runners.items() if runner.state is State.DISPLACED]
        for number in displaced:
            self._vacate(number)
        if displaced:
            yield from self._requeue(self._cluster, "worker_lost", _TOO_FEW_NODES)

    def release_unfit(self) -> Iterator[tuple[WorkerLocation, GpuSnapshot]]:
        """Close the runners whose GPUs are unfit; ``exclude_gpus`` queues their blocks again.

        Releases their devices, and yields each such GPU with the location of the worker that found
        it.
        """
        for number, runner in [(n, runner) for n, runner in self._runners.items() if runner.unfit]:
            trials = runner.remaining.trials if runner.remaining else ()
            self._vacate(number)
            for location, gpu in runner.unfit:
                names = (gpu.uuid or gpu.name,)
                left_out = ExcludedGpus(node=location.node, devices=names, reason=gpu.unfit or "")
                for trial in trials:
                    self._left_out.setdefault(trial.trial_id, []).append(left_out)
                yield location, gpu

    def exclude_gpus(self, smaller: Cluster, reason: str) -> Iterator[TrialRecord]:
        """Continue with fewer GPUs on some nodes; ``reason`` names the GPUs that are left out."""
        text = f"not run: too few GPUs remain ({reason}): free them, then continue with --resume"
        yield from self._requeue(smaller, "timed_out", text)

    def with_exclusions(self, record: TrialRecord) -> TrialRecord:
        """Return ``record`` with the GPUs that its trial could not start on."""
        left_out = tuple(self._left_out.get(record.trial.trial_id, ()))
        return record.model_copy(update={"left_out": left_out}) if left_out else record

    def _vacate(self, number: int) -> None:
        """Close a runner, and note its remaining trials to be queued again."""
        if remaining := self._runners[number].remaining:
            self._blocks[number] = remaining
            self._to_requeue.append(number)
        else:
            del self._blocks[number]
        self._close(number)

    def _requeue(
        self, cluster: Cluster | None, status: Status, reason: str
    ) -> Iterator[TrialRecord]:
        """Queue the blocks that lost their devices or that ``cluster`` holds only in another shape.

        Yields records with ``status`` and ``reason`` for trials that the cluster cannot hold at
        all.
        """
        if cluster:
            self._cluster = cluster
        # Workers that no longer fit on one node together may fit on several.
        self._to_requeue += [
            job.key for job in self._scheduler.shrink(cluster.sizes if cluster else {})
        ]
        while self._to_requeue:
            number = self._to_requeue.pop(0)
            first = self._blocks[number].trials[0]
            try:
                if len(self._left_out.get(first.trial_id, ())) > self._max_moves:
                    raise ResourceError(reason)
                self._queue(number)
            except (ResourceError, ValueError):
                for trial in self._blocks.pop(number).trials:
                    yield TrialRecord(trial=trial, status=status, error=reason)

    def _queue(self, number: int) -> None:
        block = self._blocks[number]
        shape, capacity = self._cluster.shape_of(block), self._scheduler.capacity
        self._scheduler.add(job_of(number, block, shape, capacity, estimated_trial_s))

    def _close(self, number: int) -> None:
        runner = self._runners.pop(number)
        runner.close()
        if runner.placement.granted:
            for node in runner.placement.request.nodes:
                self._waiting_since.pop(node, None)
        self._scheduler.finish(number)
