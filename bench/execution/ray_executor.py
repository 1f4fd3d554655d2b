"""Trials on a Ray cluster, or on this machine by a Ray of its own.

Usage:
    with RayExecutor(address=None) as executor:
        for record in executor.run(blocks, limits, on_event): ...

Where there are GPUs, each trial has as many of its own as it has replicas, and blocks run
at once on all of them. Elsewhere a trial has all cores of a node, and each node runs one
block at a time.
"""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import bench
from bench.datasets.load import dataset_key, load_arrays
from bench.errors import ResourceError
from bench.execution.executor import Limits, OnEvent
from bench.execution.lane import Bundle, Lane
from bench.execution.worker import Board, node_environment
from bench.measure.host import usable_cores
from bench.records.record import EpochRecord, TrialRecord
from bench.spec.plan import Block, Trial

Device = Literal["auto", "cpu", "gpu"]

_POLL_S = 1.0
_CONNECT_S = 5.0


class RayExecutor:
    """An executor on the cluster at ``address``, or on this machine where that is None."""

    name = "ray"

    def __init__(self, address: str | None = None, device: Device = "auto") -> None:
        self._address, self._device = address, device
        self._data: dict[Any, Any] = {}
        self._board: Any = None

    def __enter__(self) -> Self:
        # NVML and Ray count GPUs in the bus's order; CUDA does so only when told.
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray would have its workers give way to whatever else runs here.
        os.environ.setdefault("RAY_worker_niceness", "0")
        os.environ.setdefault("RAY_COLOR_PREFIX", "0")
        try:
            with _own_signals():
                self._connect()
            self._check_devices()
            # On this node, since a board on one that is lost would take the run with it.
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), False)
            board: Any = ray.remote(Board)
            self._board = board.options(num_cpus=0, scheduling_strategy=here).remote()
        except BaseException:
            ray.shutdown()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._data.clear()
        ray.shutdown()

    def _connect(self) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self._address is None:
            # "local", since None would join whatever cluster RAY_ADDRESS or a file names.
            ray.init("local", num_cpus=usable_cores(), include_dashboard=False, **options)
            return
        _check_reachable(self._address)
        package = {"py_modules": [str(Path(bench.__file__).parent)]}
        try:
            ray.init(address=self._address, runtime_env=package, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ResourceError(f"no Ray cluster at {self._address}: {reason}") from None

    @property
    def lanes(self) -> int:
        """How many blocks of one-device trials run at once."""
        return len(self._slots(1))

    def environment(self) -> dict[str, Any]:
        """Each node's, asked for on the node itself."""
        asked = []
        for node in _alive_nodes():
            near = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(node_environment).options(num_cpus=0, scheduling_strategy=near)
            asked.append(task.remote())
        return dict(ray.get(asked))

    def run(
        self, blocks: Sequence[Block], limits: Limits, on_event: OnEvent
    ) -> Generator[TrialRecord, None, None]:
        """Keep as many blocks in flight as there are devices; give records as trials end."""
        waiting = deque(blocks)
        for block in blocks:
            self._check_fits(block)
        lanes: list[Lane] = []
        try:
            while waiting or lanes:
                self._fill(lanes, waiting, limits, on_event)
                yield from self._turn(lanes)
                for lane in [lane for lane in lanes if lane.done]:
                    lanes.remove(lane)
                    lane.close()
        except KeyboardInterrupt:
            self._read_board(lanes)
            for lane in lanes:
                yield from lane.interrupt()
            raise
        finally:
            for lane in lanes:
                lane.close()

    def _fill(
        self, lanes: list[Lane], waiting: deque[Block], limits: Limits, on_event: OnEvent
    ) -> None:
        while waiting:
            slots = self._slots(_devices_of(waiting[0]))
            taken = [lane.slot for lane in lanes]
            free = [index for index in range(len(slots)) if index not in taken]
            if not free:
                return
            bundle = slots[free[0]]
            lane = Lane(waiting.popleft(), bundle, limits, on_event, self._data_of, self._board)
            lane.slot = free[0]
            lanes.append(lane)

    def _turn(self, lanes: list[Lane]) -> Iterator[TrialRecord]:
        ready, _ = ray.wait([lane.waits_for for lane in lanes], timeout=_POLL_S)
        self._read_board(lanes)
        for lane in lanes:
            if lane.waits_for in ready:
                yield from lane.advance()
            else:
                yield from lane.expire()

    def _read_board(self, lanes: list[Lane]) -> None:
        running = {lane.trial_id: lane for lane in lanes}
        for trial_id, epoch_json in ray.get(self._board.drain.remote()):
            if trial_id in running:
                running[trial_id].add_epoch(EpochRecord.model_validate_json(epoch_json))

    def _data_of(self, trial: Trial) -> Any:
        """A reference to a trial's data, which is read once and put into the object store."""
        key = dataset_key(trial.variant)
        if key not in self._data:
            self._data[key] = ray.put(load_arrays(trial.variant))
        return self._data[key]

    def _uses_gpus(self) -> bool:
        return self._device != "cpu" and _total("GPU") >= 1

    def _slots(self, devices: int) -> list[Bundle]:
        """What blocks that run at once reserve, each for trials of so many devices."""
        if not self._uses_gpus():
            # A sliver of the node's own resource ties the bundle to it.
            return [
                {"CPU": node["Resources"]["CPU"], f"node:{node['NodeManagerAddress']}": 0.001}
                for node in _alive_nodes()
                if node["Resources"].get("CPU", 0) >= 1
            ]
        # Node by node: a head without GPUs has cores to count that no trial on one can have.
        nodes = [node["Resources"] for node in _alive_nodes() if node["Resources"].get("GPU")]
        cores = max(1.0, min(node.get("CPU", 1.0) // node["GPU"] for node in nodes))
        slots = sum(int(node["GPU"]) // devices for node in nodes)
        return [{"GPU": devices, "CPU": cores * devices} for _ in range(slots)]

    def _check_devices(self) -> None:
        if self._device == "gpu" and _total("GPU") < 1:
            raise ResourceError("--device gpu, but Ray sees no GPU: use --device cpu or auto")

    def _check_fits(self, block: Block) -> None:
        devices = _devices_of(block)
        if self._slots(devices):
            return
        if not self._uses_gpus():
            raise ResourceError("no node of the Ray cluster has a CPU core: give it --num-cpus")
        raise ResourceError(
            f"a trial asks for {devices} GPUs, no node has more than {_most('GPU')}: "
            "lower replicas or workers"
        )


def _devices_of(block: Block) -> int:
    return max(trial.variant.total_replicas for trial in block.trials)


def _alive_nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _total(resource: str) -> float:
    return float(sum(node["Resources"].get(resource, 0.0) for node in _alive_nodes()))


def _most(resource: str) -> int:
    return int(max(node["Resources"].get(resource, 0.0) for node in _alive_nodes()))


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Put back the handler of SIGTERM that Ray replaces by one that exits on the spot."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_reachable(address: str) -> None:
    """Ray itself tries an address for half a minute before it gives up."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or "/" in host or not port.isdecimal():
        raise ResourceError(f"address {address!r} is not HOST:PORT: name a Ray head's, or auto")
    try:
        with contextlib.closing(socket.create_connection((host, int(port)), _CONNECT_S)):
            pass
    except (OSError, OverflowError, UnicodeError) as error:
        raise ResourceError(
            f"nothing answers at {address} ({error}): start Ray there, or correct --address"
        ) from None
