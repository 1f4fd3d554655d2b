"""Run trials on a Ray cluster, or on a local Ray of this machine.

Usage:
    with RayExecutor(address=None) as executor:
        for record in executor.run(blocks, limits, on_event): ...

With GPUs, each trial gets exclusive use of one GPU per replica. Blocks run at once on all GPUs
except those that other processes use. Without GPUs, a trial gets all cores of a node, and each node
runs one block at a time.

With BENCH_LOGICAL_GPUS=1, Ray only counts GPUs, for tests on machines that have none: trials then
train on the CPU, and their records say so.
"""

import contextlib
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import ray

from bench.errors import ClusterLostError, ResourceError
from bench.execution.executor import Limits, OnEvent, RunWarning
from bench.execution.gpus.gpu_fitness import GpuAllotment, GpuSnapshot, gpus_hidden_by
from bench.execution.ray_backend.blocks.block_pool import BlockPool
from bench.execution.ray_backend.blocks.block_runner import BlockRunner
from bench.execution.ray_backend.blocks.dataset_store import DatasetStore
from bench.execution.ray_backend.cluster.cluster_nodes import (
    Node,
    alive_nodes,
    ask_nodes,
    environments,
    raylet_here,
)
from bench.execution.ray_backend.cluster.connection import connection
from bench.execution.ray_backend.cluster.head_address import is_alive
from bench.execution.ray_backend.cluster.head_liveness import call_while_head_alive
from bench.execution.ray_backend.cluster.peer_network import named_network
from bench.execution.ray_backend.cluster.preflight import preflight
from bench.execution.ray_backend.gpus.gpu_quarantine import GpuQuarantine, inspect_nodes
from bench.execution.ray_backend.gpus.warm_up import warm_up
from bench.execution.ray_backend.ray_compat import available_resources_per_node
from bench.execution.scheduling.cluster import Cluster
from bench.execution.scheduling.resources import ResourceRequest
from bench.execution.trial_environment.inherited_environment import (
    check_conflicts,
    inherited_environment,
)
from bench.execution.trial_environment.other_load import load_of_node, load_warning
from bench.execution.trial_environment.version_check import check_versions
from bench.measure.environment import environment
from bench.measure.gpu import visible_gpus
from bench.measure.host import usable_cores
from bench.records.trial_record import ExcludedGpus, TrialRecord
from bench.spec.device import RequestedDevice
from bench.spec.environments import DEFAULT_ENVIRONMENT
from bench.spec.plan import Block, Trial

_MIN_WAIT_S = 0.05
_POLL_S = 5.0
"""Polling uses cores that a trial may need; an answer ends the wait at once."""
_GPU_FREE_S = 60.0
"""How long a GPU may take to become free before a trial; after that the block moves to other GPUs.
"""


class RayExecutor:
    """An executor on the cluster at ``address``, or on this machine if that is None.

    ``modules`` are the files and packages beside the suite's file that trials import; they are sent
    to a cluster. ``network`` is the network over which workers on several nodes communicate;
    BENCH_NETWORK applies if it is None. ``folder`` is a private folder for a local Ray, which makes
    its own if that is None.
    """

    name = "ray"

    def __init__(
        self,
        address: str | None = None,
        device: RequestedDevice = "auto",
        modules: Sequence[Path] = (),
        network: str | None = None,
        folder: Path | None = None,
    ) -> None:
        self._address, self._device, self._folder = address, device, folder
        self._modules, self._network = tuple(modules), named_network(network)
        self._logical = os.environ.get("BENCH_LOGICAL_GPUS") == "1"
        self._hidden_gpus: ExcludedGpus | None = None
        self._load_warning: str | None = None
        self._reported: list[ExcludedGpus | RunWarning] = []
        self._datasets = DatasetStore()
        self._environments: dict[str, Any] = {}
        self.polled_at = time.monotonic()
        """When a run last began to poll Ray, by ``time.monotonic``."""

    def __enter__(self) -> Self:
        if self._address is None:
            check_conflicts(inherited_environment())
        with contextlib.ExitStack() as stack:
            self._reported = []
            # Measured before Ray starts, because the start loads the cores.
            self._load_warning = load_warning(usable_cores()) if self._address is None else None
            kind = stack.enter_context(
                connection(self._address, self._find_local_gpus, self._modules, self._folder)
            )
            self._local = kind == "local"
            stack.callback(self._clear_caches)
            snapshots = {} if self._device == "cpu" else inspect_nodes(self._logical)
            self._quarantine = GpuQuarantine(snapshots)
            self.head: str = ray.get_runtime_context().gcs_address
            self.raylet = raylet_here()
            if kind == "caller's":  # otherwise the actors end with this driver
                stack.callback(self._call_if_head_alive, self._quarantine.release)
            self._cluster = self._usable_cluster(ray.nodes())
            self._check_fit()
            if not self._local:
                check_versions(environment(), self.environment())
            self._entered = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.close()

    def _clear_caches(self) -> None:
        self._datasets.clear()
        self._environments = {}

    def _call_if_head_alive(self, call: Callable[[], object]) -> None:
        """Call Ray; give up if the head is lost, because the call might then block for ever."""
        with contextlib.suppress(ConnectionError):
            call_while_head_alive(self.head, call)

    def _find_local_gpus(self) -> list[str]:
        """Return this machine's GPUs for a local Ray, as CUDA_VISIBLE_DEVICES names them."""
        if self._device == "cpu":
            return []
        variable = os.environ.get("CUDA_VISIBLE_DEVICES")
        hidden = gpus_hidden_by(variable) if variable is not None else None
        if hidden is not None and hidden.devices:
            if self._device == "gpu":
                raise ResourceError(f"--device gpu, but all GPUs are {hidden.reason}: unset it")
            self._hidden_gpus = hidden
        return [gpu.token for gpu in visible_gpus(variable)]

    def _usable_cluster(self, nodes: Sequence[Node]) -> Cluster:
        usable = self._quarantine.usable_nodes(nodes)
        # The first holder of a block coordinates it: with the driver, it has nothing more to lose.
        own = ray.get_runtime_context().get_node_id()
        driver_first = sorted(usable, key=lambda node: node["NodeID"] != own)
        return Cluster(driver_first, self._device, self._quarantine.counts)

    def _check_fit(self) -> None:
        if not self._cluster.capacity:
            raise ResourceError(
                f"no GPU can run trials ({self._quarantine.reasons}): end the processes on them, "
                "or use --device cpu"
            )

    @property
    def devices_allotted(self) -> bool:
        """Whether an existing Ray allots its devices among this run and others."""
        return not self._local

    @property
    def parallel_blocks(self) -> int:
        """How many blocks of one-device trials run at once."""
        return self._cluster.capacity

    @property
    def uses_gpus(self) -> bool:
        """Whether trials run on real GPUs, not on logical ones."""
        return self._cluster.has_gpus and not self._logical

    @property
    def gpus(self) -> tuple[str, ...]:
        """UUIDs of the GPUs that trials may get now."""
        return self._quarantine.used

    def environment(self) -> dict[str, Any]:
        """Return the environment of each node, as the node reports it, by the node's name."""
        if not self._environments:
            self._environments = environments(self._cluster.cores_of)
        return self._environments

    def run(
        self, blocks: Sequence[Block], limits: Limits, on_event: OnEvent
    ) -> Generator[TrialRecord, None, None]:
        """Keep the devices busy, the largest blocks first; yield records as trials end.

        May be called again, with further blocks, once an earlier call has ended. Before anything
        starts, raises DatasetError if real data is unavailable, and ResourceError as ``preflight``
        does.
        """
        attempts: dict[str, int] = {}
        planned = {trial.trial_id: block for block in blocks for trial in block.trials}
        allotment = GpuAllotment(
            logical=self._logical,
            baselines_bytes=self._quarantine.baselines,
            free_timeout_s=_free_timeout_s(limits),
            modules=self._modules,
            network=self._network,
            environments=limits.environments,
        )

        def open_runner(block: Block, request: ResourceRequest) -> BlockRunner:
            data_of = self._datasets.reference
            whole = planned[block.trials[0].trial_id]
            return BlockRunner(
                block, whole, request, limits, on_event, data_of, attempts, allotment
            )

        self._quarantine.check_instances(trial for block in blocks for trial in block.trials)
        self._report_node_states(on_event)
        pool, head_lost = BlockPool(self._cluster, blocks, open_runner), False
        nodes = self._alive_trial_nodes()
        if reason := preflight(blocks, self._cluster, nodes, allotment, on_event):
            yield from (TrialRecord(trial=t, status="failed", error=reason) for t in pool.trials)
            return
        self._datasets.preload(pool.trials)
        try:
            for record in self._run_pool(pool, limits, on_event):
                yield pool.with_exclusions(record)
        except KeyboardInterrupt:
            yield from pool.abandon("interrupted", "the run was interrupted")
            raise
        except ClusterLostError:
            head_lost = True
            raise
        finally:
            if not head_lost:
                self._call_if_head_alive(pool.close)

    def _report_node_states(self, on_event: OnEvent) -> None:
        """Report GPUs that are left out and what makes times unreliable; nothing a second time."""
        hidden = [self._hidden_gpus] if self._hidden_gpus else []
        node_loads = {} if self._local else ask_nodes(self._alive_trial_nodes(), load_of_node)
        loads = [self._load_warning] if self._local else node_loads.values()
        reasons = filter(None, [*loads, *self._quarantine.warnings])
        left_out: list[ExcludedGpus | RunWarning] = [*hidden, *self._quarantine.left_out]
        for event in [*left_out, *map(RunWarning, reasons)]:
            if event not in self._reported:
                self._reported.append(event)
                on_event(event)

    def _run_pool(
        self, pool: BlockPool, limits: Limits, on_event: OnEvent
    ) -> Iterator[TrialRecord]:
        """Run until no block remains; ClusterLostError, after the records, if the head is lost."""
        try:
            self._warm_up(pool.trials, limits, on_event)
            while pool.busy:
                pool.start()
                yield from self._poll(pool)
                yield from self._exclude_unfit(pool, on_event)
                if pool.close_done():
                    self._datasets.evict_unused(pool.trials)
        except Exception as error:
            if is_alive(self.head):
                # An error in one trial must not cost the records of the other running trials.
                reason = f"the run failed with {type(error).__name__}: {error}".splitlines()[0]
                yield from pool.abandon("interrupted", reason)
                raise
            yield from pool.abandon("worker_lost", "Ray's head was lost")
            advice = "continue" if self._local else "restart it, then continue"
            raise ClusterLostError(
                f"Ray's head at {self.head} was lost: {advice} with --resume"
            ) from None

    def _warm_up(self, trials: Iterable[Trial], limits: Limits, on_event: OnEvent) -> None:
        if self._cluster.has_gpus:
            usable, data_of = self._quarantine.baselines, self._datasets.reference
            # Other environments compile other programs, in processes of their own.
            trials = [t for t in trials if t.variant.environment == DEFAULT_ENVIRONMENT]
            warm_up(self._cluster, usable, trials, data_of, limits, self.head, on_event)

    def _poll(self, pool: BlockPool) -> Iterator[TrialRecord]:
        self.polled_at = time.monotonic()
        pending = [reference for runner in pool.runners for reference in runner.pending]
        if not pending:
            return
        next_limit_s = min(runner.remaining_s for runner in pool.runners)
        ready, _ = ray.wait(pending, timeout=min(_POLL_S, max(next_limit_s, _MIN_WAIT_S)))
        if ready:
            ready, _ = ray.wait(pending, num_returns=len(pending), timeout=0)
        if not is_alive(self.head):
            raise ConnectionError("Ray's head does not answer")
        yield from self._handle_lost_nodes(pool)
        for runner in pool.runners:
            if any(reference in ready for reference in runner.pending):
                yield from runner.advance(ready)
        yield from self._expire(pool)
        yield from pool.requeue_displaced()
        yield from pool.handle_pending(available_resources_per_node)

    def _expire(self, pool: BlockPool) -> Iterator[TrialRecord]:
        """End trials that exceed a limit, unless they answered while other runners were handled."""
        over = [runner for runner in pool.runners if runner.remaining_s <= 0]
        for runner in over:
            ready, _ = ray.wait(runner.pending, num_returns=len(runner.pending), timeout=0)
            yield from runner.advance(ready) if ready else runner.expire()

    def _exclude_unfit(self, pool: BlockPool, on_event: OnEvent) -> Iterator[TrialRecord]:
        """Stop using the GPUs that trials have found unfit."""
        unfit: dict[tuple[str, str], list[GpuSnapshot]] = {}
        for location, gpu in pool.release_unfit():
            unfit.setdefault((location.node_id, location.node), []).append(gpu)
        # One call per node, because nothing else advances while GPUs are quarantined.
        for (node, host), gpus in unfit.items():
            for left_out in self._quarantine.add(node, host, gpus):
                self._reported.append(left_out)
                on_event(left_out)
        if unfit:
            self._cluster = self._usable_cluster(self._alive_trial_nodes())
            yield from pool.exclude_gpus(self._cluster, self._quarantine.reasons)

    def _alive_trial_nodes(self) -> list[Node]:
        """Return those of the trials' nodes that are alive."""
        return [node for node in alive_nodes() if node["NodeID"] in self._cluster.nodes]

    def _handle_lost_nodes(self, pool: BlockPool) -> Iterator[TrialRecord]:
        nodes = self._alive_trial_nodes()
        if len(nodes) == len(self._cluster.nodes):
            return
        try:
            self._cluster = self._usable_cluster(nodes)
        except ResourceError:
            yield from pool.handle_node_loss(None)
        else:
            yield from pool.handle_node_loss(self._cluster)


def _free_timeout_s(limits: Limits) -> float:
    """Return how long a trial waits for its GPUs: its block must move before a limit ends it."""
    return min(_GPU_FREE_S, limits.stall_timeout_s / 2, limits.trial_timeout_s / 2)
