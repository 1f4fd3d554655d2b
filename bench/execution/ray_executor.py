"""Trials on a Ray cluster, or on this machine by a Ray of its own.

Usage:
    with RayExecutor(address=None) as executor:
        for record in executor.run(blocks, limits, on_event): ...

Where there are GPUs, each trial has as many of its own as it has replicas, and blocks run
at once on all of them but those that somebody else uses. Elsewhere a trial has all cores of a
node, and each node runs one block at a time.

With BENCH_LOGICAL_GPUS=1, Ray's GPUs are only counted, as for tests where there are none: trials
then train on the CPU, and their records say so.
"""

import contextlib
import os
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ray
from ray._private.state import available_resources_per_node
from ray.exceptions import GetTimeoutError, RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.errors import ClusterLostError, ResourceError
from bench.execution.address import answers
from bench.execution.board import Board
from bench.execution.cluster import Cluster
from bench.execution.connect import connection
from bench.execution.device_fitness import Allotment, SeenGpu, hidden_by
from bench.execution.device_kind import Device
from bench.execution.executor import Limits, OnEvent, Warned
from bench.execution.fleet import Fleet
from bench.execution.inherited import check_conflicts, inherited_here
from bench.execution.lane import Lane
from bench.execution.load import load_of_node, load_warning
from bench.execution.nodes import Node, alive_nodes, ask_nodes, environments, raylet_here
from bench.execution.patience import while_head_answers
from bench.execution.peer_network import named_network
from bench.execution.preflight import preflight
from bench.execution.quarantine import Quarantine, look_at_nodes
from bench.execution.reservation import Reservation
from bench.execution.shelf import Shelf
from bench.execution.versions import check_versions
from bench.execution.warm_up import warm_up
from bench.measure.environment import environment
from bench.measure.gpu import visible_gpus
from bench.measure.host import usable_cores
from bench.records.record import LeftOut, TrialRecord
from bench.spec.plan import Block, Trial

_LEAST_S = 0.05
_POLL_S = 5.0
"""A look takes time of cores that a trial may be training on; an answer ends the wait at once."""
_BOARD_S = 60.0
_LAST_WORDS_S = 2.0
_GPU_FREE_S = 60.0
"""How long a GPU may take to become free before a trial; the block then goes to others."""


class RayExecutor:
    """An executor on the cluster at ``address``, or on this machine where that is None.

    ``modules`` are the files and packages beside the suite's file that trials import: a cluster is
    sent them. ``network`` is where workers on several nodes reach each other, BENCH_NETWORK where
    it is None. ``folder`` is a private one for a Ray of this machine, which makes its own where
    that is None.
    """

    name = "ray"

    def __init__(
        self,
        address: str | None = None,
        device: Device = "auto",
        modules: Sequence[Path] = (),
        network: str | None = None,
        folder: Path | None = None,
    ) -> None:
        self._address, self._device, self._folder = address, device, folder
        self._modules, self._network = tuple(modules), named_network(network)
        self._logical = os.environ.get("BENCH_LOGICAL_GPUS") == "1"
        self._hidden: LeftOut | None = None
        self._load: str | None = None
        self._shelf = Shelf()
        self._board: Any = None
        self._environments: dict[str, Any] = {}
        self.looked_at = time.monotonic()
        """When a run last began to look at Ray, by ``time.monotonic``."""

    def __enter__(self) -> Self:
        if self._address is None:
            check_conflicts(inherited_here())
        with contextlib.ExitStack() as stack:
            # Before Ray starts, which is busy as it does.
            self._load = load_warning(usable_cores()) if self._address is None else None
            kind = stack.enter_context(
                connection(self._address, self._local_gpus, self._modules, self._folder)
            )
            self._local = kind == "local"
            stack.callback(self._forget)
            seen = {} if self._device == "cpu" else look_at_nodes(self._logical)
            self._quarantine = Quarantine(seen)
            self.head: str = ray.get_runtime_context().gcs_address
            self.raylet = raylet_here()
            if kind == "caller's":  # else they end with this driver
                stack.callback(self._end_actors)
            self._cluster = self._usable(ray.nodes())
            self._check_fit()
            if not self._local:
                check_versions(environment(), self.environment())
            # On this node, since a board on one that is lost would take the run with it.
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), False)
            board: Any = ray.remote(Board)
            self._board = board.options(
                num_cpus=0, scheduling_strategy=here, max_restarts=-1
            ).remote()
            self._entered = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered.close()

    def _forget(self) -> None:
        self._shelf.clear()
        self._environments = {}

    def _end_actors(self) -> None:
        """End what would live on in a Ray that does; nothing is asked of one without a head."""

        def end() -> None:
            self._quarantine.release()
            if self._board is not None:
                ray.kill(self._board)
                self._board = None

        with contextlib.suppress(ConnectionError):
            while_head_answers(self.head, end)

    def _local_gpus(self) -> list[str]:
        """This machine's GPUs for a Ray of its own, as CUDA_VISIBLE_DEVICES names them."""
        if self._device == "cpu":
            return []
        variable = os.environ.get("CUDA_VISIBLE_DEVICES")
        found = hidden_by(variable) if variable is not None else None
        if found is not None and found.devices:
            if self._device == "gpu":
                raise ResourceError(f"--device gpu, but all are {found.reason}: unset it")
            self._hidden = found
        return [gpu.token for gpu in visible_gpus(variable)]

    def _usable(self, nodes: Sequence[Node]) -> Cluster:
        return Cluster(self._quarantine.usable(nodes), self._device, self._quarantine.counts)

    def _check_fit(self) -> None:
        if not self._cluster.capacity:
            raise ResourceError(
                f"no GPU is fit for a trial ({self._quarantine.reasons}): end what runs there, or "
                "use --device cpu"
            )

    @property
    def devices_allotted(self) -> bool:
        """Whether a Ray that was there allots devices to this run and others."""
        return not self._local

    @property
    def lanes(self) -> int:
        """How many blocks of one-device trials run at once."""
        return self._cluster.capacity

    @property
    def uses_gpus(self) -> bool:
        """Whether trials run on GPUs, which are more than counted."""
        return self._cluster.has_gpus and not self._logical

    @property
    def gpus(self) -> tuple[str, ...]:
        """UUIDs of those that trials may get now."""
        return self._quarantine.used

    def environment(self) -> dict[str, Any]:
        """Each node's, as the node itself tells it, by its name."""
        if not self._environments:
            self._environments = environments(self._cluster.cores_of)
        return self._environments

    def run(
        self, blocks: Sequence[Block], limits: Limits, on_event: OnEvent
    ) -> Generator[TrialRecord, None, None]:
        """Keep the devices busy, the largest blocks first; give records as trials end.

        Before anything starts, DatasetError where real data cannot be had, ResourceError as
        ``preflight`` has it.
        """
        attempts: dict[str, int] = {}
        allotment = Allotment(
            logical=self._logical,
            baselines_bytes=self._quarantine.baselines,
            free_timeout_s=_free_timeout_s(limits),
            modules=self._modules,
            network=self._network,
        )

        def open_lane(block: Block, reservation: Reservation) -> Lane:
            data_of, board = self._shelf.reference, self._board
            return Lane(block, reservation, limits, on_event, data_of, board, attempts, allotment)

        self._quarantine.check_instances(trial for block in blocks for trial in block.trials)
        for left_out in [*filter(None, [self._hidden]), *self._quarantine.left_out]:
            on_event(left_out)
        asked = {} if self._local else ask_nodes(self._nodes_left(), load_of_node)
        loads = [self._load] if self._local else asked.values()
        for warning in filter(None, [*loads, *self._quarantine.warnings]):
            on_event(Warned(warning))
        fleet, head_lost = Fleet(self._cluster, blocks, open_lane), False
        nodes = self._nodes_left()
        if reason := preflight(
            blocks, self._cluster, nodes, self._modules, self._network, on_event
        ):
            yield from (TrialRecord(trial=t, status="failed", error=reason) for t in fleet.trials)
            return
        self._shelf.stock(fleet.trials)
        try:
            for record in self._to_the_end(fleet, limits, on_event):
                yield fleet.marked(record)
        except KeyboardInterrupt:
            self._hear_once_more(fleet)
            yield from fleet.abandon("interrupted", "the run was interrupted")
            raise
        except ClusterLostError:
            head_lost = True
            raise
        finally:
            # Whatever is asked of a Ray without a head may wait for ever.
            if not head_lost:
                with contextlib.suppress(ConnectionError):
                    while_head_answers(self.head, fleet.close)

    def _to_the_end(self, fleet: Fleet, limits: Limits, on_event: OnEvent) -> Iterator[TrialRecord]:
        """Until nothing is left; ClusterLostError, after the records, once the head is gone."""
        try:
            self._warm_up(fleet.trials, limits, on_event)
            while fleet.busy:
                fleet.start()
                yield from self._turn(fleet)
                yield from self._leave_unfit(fleet, on_event)
                if fleet.close_done():
                    self._shelf.keep_only(fleet.trials)
        except Exception as error:
            if answers(self.head):
                # Not for a fault in one place is what runs elsewhere to be without a record.
                reason = f"the run ended on {type(error).__name__}: {error}".splitlines()[0]
                yield from fleet.abandon("interrupted", reason)
                raise
            self._hear_once_more(fleet)
            yield from fleet.abandon("worker_lost", "Ray's head was lost")
            again = "go on" if self._local else "start it again, then go on"
            raise ClusterLostError(
                f"Ray's head at {self.head} is gone: {again} with --resume"
            ) from None

    def _warm_up(self, trials: Iterable[Trial], limits: Limits, on_event: OnEvent) -> None:
        if self._cluster.has_gpus:
            usable, data_of = self._quarantine.baselines, self._shelf.reference
            warm_up(self._cluster, usable, trials, data_of, limits, self.head, on_event)

    def _turn(self, fleet: Fleet) -> Iterator[TrialRecord]:
        self.looked_at = time.monotonic()
        pending = [answer for lane in fleet.lanes for answer in lane.pending]
        if not pending:
            return
        next_limit_s = min(lane.left_s for lane in fleet.lanes)
        ready, _ = ray.wait(pending, timeout=min(_POLL_S, max(next_limit_s, _LEAST_S)))
        if ready:
            ready, _ = ray.wait(pending, num_returns=len(pending), timeout=0)
        if not answers(self.head):
            raise ConnectionError("Ray's head does not answer")
        self._read_board(fleet.lanes)
        yield from self._lost_nodes(fleet)
        for lane in fleet.lanes:
            if any(answer in ready for answer in lane.pending):
                yield from lane.advance(ready)
        yield from self._expire(fleet)
        yield from fleet.see_to_waiting(available_resources_per_node)

    def _expire(self, fleet: Fleet) -> Iterator[TrialRecord]:
        """End what is over a limit, unless it has answered while others were seen to."""
        over = [lane for lane in fleet.lanes if lane.left_s <= 0]
        if over:
            self._read_board(over)
        for lane in over:
            ready, _ = ray.wait(lane.pending, num_returns=len(lane.pending), timeout=0)
            yield from lane.advance(ready) if ready else lane.expire()

    def _leave_unfit(self, fleet: Fleet, on_event: OnEvent) -> Iterator[TrialRecord]:
        """Do without the GPUs that trials have found unfit."""
        unfit: dict[tuple[str, str], list[SeenGpu]] = {}
        for place, gpu in fleet.release_unfit():
            unfit.setdefault((place.node_id, place.node), []).append(gpu)
        # At once for each node: nothing else advances while GPUs are held.
        for (node, host), gpus in unfit.items():
            for left_out in self._quarantine.add(node, host, gpus):
                on_event(left_out)
        if unfit:
            self._cluster = self._usable(self._nodes_left())
            yield from fleet.go_on_without(self._cluster, self._quarantine.reasons)

    def _nodes_left(self) -> list[Node]:
        """Those of the nodes for trials that are alive."""
        return [node for node in alive_nodes() if node["NodeID"] in self._cluster.nodes]

    def _lost_nodes(self, fleet: Fleet) -> Iterator[TrialRecord]:
        left = self._nodes_left()
        if len(left) == len(self._cluster.nodes):
            return
        try:
            self._cluster = self._usable(left)
        except ResourceError:
            yield from fleet.go_on_with(None)
        else:
            yield from fleet.go_on_with(self._cluster)

    def _hear_once_more(self, fleet: Fleet) -> None:
        """Take in what was told since the last look; not for long, since Ray may be ending too."""
        with contextlib.suppress(Exception):
            self._read_board(fleet.lanes, _LAST_WORDS_S)

    def _read_board(self, lanes: Sequence[Lane], timeout_s: float = _BOARD_S) -> None:
        running = {lane.gang: lane for lane in lanes}
        # What a board that is slow has to tell stands in the records, too.
        # One that has died begins anew; epochs that it held are in their workers' files.
        with contextlib.suppress(GetTimeoutError, RayActorError):
            for news in ray.get(self._board.drain.remote(), timeout=timeout_s):
                if news.gang in running:
                    running[news.gang].add_news(news)


def _free_timeout_s(limits: Limits) -> float:
    """How long a trial waits for its GPUs: it must move elsewhere before a limit ends it."""
    return min(_GPU_FREE_S, limits.stall_timeout_s / 2, limits.trial_timeout_s / 2)
