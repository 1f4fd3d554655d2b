"""Keep a run off unfit GPUs: an actor reserves each one, so that Ray cannot assign it.

Usage:
    quarantine = GpuQuarantine(inspect_nodes(logical=False))
    quarantine.counts                             # how many of each node's GPUs are left out
    exclusions = quarantine.add(node_id, host, unfit)   # found in use later; report these

Ray chooses which GPUs of a node a placement group gets. So the quarantine starts an actor for each
free GPU, and ends those actors that did not get an unfit one.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.errors import ResourceError
from bench.execution.gpus.gpu_fitness import GpuSnapshot, NodeSnapshot, inspect_node
from bench.execution.ray_backend.cluster.cluster_nodes import Node, alive_nodes, ask_nodes
from bench.execution.ray_backend.ray_compat import available_resources_per_node, gpu_names_on_node
from bench.execution.ray_backend.workers.assigned_gpus import assigned_gpus
from bench.records.trial_record import ExcludedGpus
from bench.spec.plan import Trial

_START_FREE_S = 10.0
"""How long a GPU may take to become free when a run starts: an earlier run releases it by then."""
_HOLD_S = 15.0
"""How long an actor that holds a GPU may take to start."""


class GpuHolder:
    """An actor that reserves a GPU of Ray's without using it."""

    def names(self) -> tuple[str, ...]:
        """Return the names of the GPUs that it holds."""
        return assigned_gpus()


class GpuQuarantine:
    """The GPUs of a run's nodes when it started, and those that the run excludes."""

    def __init__(self, nodes: Mapping[str, NodeSnapshot]) -> None:
        self._nodes = dict(nodes)
        self._names: dict[str, set[str]] = {}
        self._holders: dict[str, dict[str, Any]] = {}
        self.left_out: list[ExcludedGpus] = []
        """The excluded GPUs, in the order in which they were found unfit."""
        self.warnings: list[str] = []
        """Warnings from the start of the run about GPUs that it still uses."""
        for node, seen in nodes.items():
            self.left_out += seen.left_out
            self.warnings += seen.warnings
            unfit = {gpu.name: gpu for gpu in seen.gpus if gpu.unfit}
            # A GPU that Ray has assigned to other work is not held; each trial checks it.
            held = self._hold(node, unfit.keys(), _free_on(node)) if unfit else ()
            self._leave_out(node, seen.host, [unfit[name] for name in held])

    @property
    def counts(self) -> dict[str, int]:
        """How many GPUs of each node the run must not use."""
        return {node: len(names) for node, names in self._names.items()}

    @property
    def baselines(self) -> dict[str, int | None]:
        """Memory in use at the start of the run, by UUID, for the GPUs that were fit then."""
        seen = (gpu for node in self._nodes.values() for gpu in node.gpus)
        return {gpu.uuid: gpu.baseline_bytes for gpu in seen if gpu.uuid and not gpu.unfit}

    @property
    def used(self) -> tuple[str, ...]:
        """UUIDs of the GPUs that the run uses and the driver knows."""
        used = (gpu for node, seen in self._nodes.items() for gpu in self._used(node, seen))
        return tuple(gpu.uuid for gpu in used if gpu.uuid)

    @property
    def reasons(self) -> str:
        """Which GPUs are excluded and why, in one line."""
        return "; ".join(
            f"GPU {', '.join(left.devices)} on {left.node}: {left.reason}" for left in self.left_out
        )

    def add(self, node: str, host: str, unfit: Sequence[GpuSnapshot]) -> list[ExcludedGpus]:
        """Exclude these GPUs of a node, which were just released; return what to report.

        A GPU that is already excluded is held again but not reported again. Ray assigned it because
        its holder was lost, or because other work had it when it should have been held.
        """
        self._hold(node, {gpu.name for gpu in unfit}, _count_on(node))
        return self._leave_out(node, host, unfit)

    def _hold(self, node: str, names: Collection[str], free: int) -> Collection[str]:
        """Hold those of ``names`` that are among the ``free`` GPUs that Ray can assign."""
        holders = _start_holders(node, names, free)
        self._holders[node] = {**self._holders.get(node, {}), **holders}
        return holders.keys()

    def _leave_out(self, node: str, host: str, unfit: Sequence[GpuSnapshot]) -> list[ExcludedGpus]:
        names = self._names.setdefault(node, set())
        by_reason: dict[str, list[str]] = {}
        for gpu in unfit:
            if gpu.name not in names:
                by_reason.setdefault(gpu.unfit or "", []).append(gpu.uuid or gpu.name)
        names.update(gpu.name for gpu in unfit)
        exclusions = [
            ExcludedGpus(node=host, devices=tuple(devices), reason=reason)
            for reason, devices in by_reason.items()
        ]
        self.left_out += exclusions
        return exclusions

    def release(self) -> None:
        """Release the GPUs that are held."""
        for holders in self._holders.values():
            for actor in holders.values():
                ray.kill(actor)
        self._holders.clear()

    def usable_nodes(self, nodes: Iterable[Node]) -> list[Node]:
        """Return Ray's descriptions of ``nodes`` without the GPUs that are hidden from Ray."""
        return [
            {**node, "Resources": {k: n for k, n in node["Resources"].items() if k != "GPU"}}
            if node["NodeID"] in self._nodes and self._nodes[node["NodeID"]].hides_gpus
            else node
            for node in nodes
        ]

    def check_instances(self, trials: Iterable[Trial]) -> None:
        """Raise ResourceError if a trial with several replicas may get MIG instances.

        CUDA gives a process one instance, whatever CUDA_VISIBLE_DEVICES names, and NCCL treats two
        instances of a card as the same GPU.
        """
        replicas = max((trial.variant.total_replicas for trial in trials), default=1)
        used = [(seen.host, gpu) for n, seen in self._nodes.items() for gpu in self._used(n, seen)]
        split = sorted({host for host, gpu in used if gpu.is_instance})
        if replicas == 1 or not split:
            return
        if all(gpu.is_instance for _, gpu in used):
            remedy = "set replicas and workers to 1, or turn MIG off there"
        else:
            remedy = (
                "exclude those nodes, or start Ray there with only whole cards in "
                "CUDA_VISIBLE_DEVICES, because Ray chooses among all"
            )
        raise ResourceError(
            f"a trial needs {replicas} replicas, but GPUs of {', '.join(split)} are MIG instances: "
            f"CUDA gives a process only one, and NCCL uses only one of each card: {remedy}"
        )

    def _used(self, node: str, seen: NodeSnapshot) -> list[GpuSnapshot]:
        return [gpu for gpu in seen.gpus if gpu.name not in self._names.get(node, ())]


def inspect_nodes(logical: bool) -> dict[str, NodeSnapshot]:
    """Inspect the GPUs of each live node on which Ray counts any; results by Ray's node id."""
    nodes = [node for node in alive_nodes() if _gpus_of(node)]
    counts = {node["NodeID"]: _gpus_of(node) for node in nodes}
    return ask_nodes(nodes, _inspect_this_node, counts, logical, _START_FREE_S)


def _inspect_this_node(
    counts: Mapping[str, int], logical: bool, free_timeout_s: float
) -> NodeSnapshot:
    count = counts[ray.get_runtime_context().get_node_id()]
    return inspect_node(gpu_names_on_node(count), logical, free_timeout_s)


def _start_holders(node: str, names: Collection[str], free: int) -> dict[str, Any]:
    """Start an actor for each ``free`` GPU of a node; keep those that got one of ``names``."""
    actor_class: Any = ray.remote(GpuHolder)
    here = NodeAffinitySchedulingStrategy(node, soft=False)
    options = {"num_cpus": 0, "num_gpus": 1, "max_restarts": 0, "scheduling_strategy": here}
    actors = [actor_class.options(**options).remote() for _ in range(free)]
    pending = {actor.names.remote(): actor for actor in actors}
    holders: dict[str, Any] = {}
    ends_at = time.monotonic() + _HOLD_S
    while pending and len(holders) < len(names) and (left_s := ends_at - time.monotonic()) > 0:
        ready, _ = ray.wait(list(pending), timeout=left_s)
        for answer in ready:
            actor = pending.pop(answer)
            try:
                (name,) = ray.get(answer)
            except (RayError, ValueError):  # it died, or Ray assigned it no GPU
                continue
            if name in names:
                holders[name] = actor
    for actor in actors:
        if actor not in holders.values():
            ray.kill(actor)
    return holders


def _free_on(node: str) -> int:
    """Return how many of a node's GPUs Ray can assign; all of them if Ray does not know yet."""
    available = available_resources_per_node().get(node)
    return _count_on(node) if available is None else int(available.get("GPU", 0))


def _count_on(node: str) -> int:
    return next((_gpus_of(alive) for alive in alive_nodes() if alive["NodeID"] == node), 0)


def _gpus_of(node: Node) -> int:
    return int(node["Resources"].get("GPU", 0))
