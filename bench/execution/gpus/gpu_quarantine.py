"""GPUs that a run does not use: held by an actor each, so that Ray gives them to nobody.

Usage:
    quarantine = GpuQuarantine(inspect_nodes(logical=False))
    quarantine.counts                             # how many of each node's GPUs are left out
    left = quarantine.add(node_id, host, unfit)   # found in use later; to be told of

Ray itself chooses which GPUs of a node a placement group gets. So an actor is started for each
free one, and those that did not get what is to be held are ended again.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.errors import ResourceError
from bench.execution.gpus.device_fitness import GpuSnapshot, NodeSnapshot, inspect_node
from bench.execution.gpus.gpu_visibility import assigned_gpus
from bench.execution.ray_backend.cluster_nodes import Node, alive_nodes, ask_nodes
from bench.execution.ray_backend.ray_compat import available_resources_per_node
from bench.records.trial_record import LeftOut
from bench.spec.plan import Trial

_START_FREE_S = 10.0
"""How long a GPU may take to become free as a run starts: what an earlier one held is by then."""
_HOLD_S = 15.0
"""How long an actor that is to hold a GPU may take to start."""


class GpuHolder:
    """A process that has a GPU of Ray's, and leaves it alone."""

    def names(self) -> tuple[str, ...]:
        """What it holds."""
        return assigned_gpus()


class GpuQuarantine:
    """The GPUs of the nodes of a run as it started, and those that it does without."""

    def __init__(self, nodes: Mapping[str, NodeSnapshot]) -> None:
        self._nodes = dict(nodes)
        self._names: dict[str, set[str]] = {}
        self._holders: dict[str, dict[str, Any]] = {}
        self.left_out: list[LeftOut] = []
        """In the order in which they were found unfit."""
        self.warnings: list[str] = []
        """Of GPUs that are used all the same, as the run started."""
        for node, seen in nodes.items():
            self.left_out += seen.left_out
            self.warnings += seen.warnings
            unfit = {gpu.name: gpu for gpu in seen.gpus if gpu.unfit}
            # A GPU that Ray has given to other work is waited for, and looked at before each trial.
            held = self._hold(node, unfit.keys(), _free_on(node)) if unfit else ()
            self._leave_out(node, seen.host, [unfit[name] for name in held])

    @property
    def counts(self) -> dict[str, int]:
        """How many GPUs of each node are not to be used."""
        return {node: len(names) for node, names in self._names.items()}

    @property
    def baselines(self) -> dict[str, int | None]:
        """Bytes that each GPU held as the run started, by UUID; of those that were free then."""
        seen = (gpu for node in self._nodes.values() for gpu in node.gpus)
        return {gpu.uuid: gpu.baseline_bytes for gpu in seen if gpu.uuid and not gpu.unfit}

    @property
    def used(self) -> tuple[str, ...]:
        """UUIDs of the GPUs that it does not do without, of those that a driver knows."""
        used = (gpu for node, seen in self._nodes.items() for gpu in self._used(node, seen))
        return tuple(gpu.uuid for gpu in used if gpu.uuid)

    @property
    def reasons(self) -> str:
        """What is left out, and why, in one line."""
        return "; ".join(
            f"GPU {', '.join(left.devices)} on {left.node}: {left.reason}" for left in self.left_out
        )

    def add(self, node: str, host: str, unfit: Sequence[GpuSnapshot]) -> list[LeftOut]:
        """Do without these GPUs of a node, which were just given back; what is to be told.

        A GPU already left out is held again but not reported again. Ray has then given it out since
        its holder was lost, or since others had it as it was to be held.
        """
        self._hold(node, {gpu.name for gpu in unfit}, _count_on(node))
        return self._leave_out(node, host, unfit)

    def _hold(self, node: str, names: Collection[str], free: int) -> Collection[str]:
        """Hold those of ``names`` that are among the ``free`` GPUs that Ray has to give."""
        found = _held(node, names, free)
        self._holders[node] = {**self._holders.get(node, {}), **found}
        return found.keys()

    def _leave_out(self, node: str, host: str, unfit: Sequence[GpuSnapshot]) -> list[LeftOut]:
        names = self._names.setdefault(node, set())
        by_reason: dict[str, list[str]] = {}
        for gpu in unfit:
            if gpu.name not in names:
                by_reason.setdefault(gpu.unfit or "", []).append(gpu.uuid or gpu.name)
        names.update(gpu.name for gpu in unfit)
        told = [
            LeftOut(node=host, devices=tuple(devices), reason=reason)
            for reason, devices in by_reason.items()
        ]
        self.left_out += told
        return told

    def release(self) -> None:
        """Give back the GPUs that are held."""
        for held in self._holders.values():
            for actor in held.values():
                ray.kill(actor)
        self._holders.clear()

    def usable_nodes(self, nodes: Iterable[Node]) -> list[Node]:
        """``nodes`` as Ray describes them, without the GPUs that are hidden where Ray runs."""
        return [
            {**node, "Resources": {k: n for k, n in node["Resources"].items() if k != "GPU"}}
            if node["NodeID"] in self._nodes and self._nodes[node["NodeID"]].hides_gpus
            else node
            for node in nodes
        ]

    def check_instances(self, trials: Iterable[Trial]) -> None:
        """Raise ResourceError where a trial of several replicas may get MIG instances.

        CUDA gives a process one instance, whatever CUDA_VISIBLE_DEVICES names, and NCCL takes two
        of a card for one GPU twice.
        """
        most = max((trial.variant.total_replicas for trial in trials), default=1)
        used = [(seen.host, gpu) for n, seen in self._nodes.items() for gpu in self._used(n, seen)]
        split = sorted({host for host, gpu in used if gpu.is_instance})
        if most == 1 or not split:
            return
        if all(gpu.is_instance for _, gpu in used):
            remedy = "set replicas and workers to 1, or turn MIG off there"
        else:
            remedy = (
                "leave those nodes out, or start Ray there with a CUDA_VISIBLE_DEVICES that names "
                "whole cards, since Ray chooses among all"
            )
        raise ResourceError(
            f"a trial asks for {most} replicas, but GPUs of {', '.join(split)} are MIG instances, "
            f"of which CUDA gives a process one and NCCL takes one of a card: {remedy}"
        )

    def _used(self, node: str, seen: NodeSnapshot) -> list[GpuSnapshot]:
        return [gpu for gpu in seen.gpus if gpu.name not in self._names.get(node, ())]


def inspect_nodes(logical: bool) -> dict[str, NodeSnapshot]:
    """What each living node of which Ray counts GPUs says of them, by Ray's id of the node."""
    nodes = [node for node in alive_nodes() if _gpus_of(node)]
    counts = {node["NodeID"]: _gpus_of(node) for node in nodes}
    return ask_nodes(nodes, inspect_node, counts, logical, _START_FREE_S)


def _held(node: str, names: Collection[str], free: int) -> dict[str, Any]:
    """Holders of those of ``names`` that Ray gives to as many actors as there are ``free`` GPUs."""
    actor_class: Any = ray.remote(GpuHolder)
    here = NodeAffinitySchedulingStrategy(node, soft=False)
    options = {"num_cpus": 0, "num_gpus": 1, "max_restarts": 0, "scheduling_strategy": here}
    actors = [actor_class.options(**options).remote() for _ in range(free)]
    asked = {actor.names.remote(): actor for actor in actors}
    held: dict[str, Any] = {}
    ends_at = time.monotonic() + _HOLD_S
    while asked and len(held) < len(names) and (left_s := ends_at - time.monotonic()) > 0:
        ready, _ = ray.wait(list(asked), timeout=left_s)
        for answer in ready:
            actor = asked.pop(answer)
            try:
                (name,) = ray.get(answer)
            except (RayError, ValueError):  # it died, or Ray gave it none
                continue
            if name in names:
                held[name] = actor
    for actor in actors:
        if actor not in held.values():
            ray.kill(actor)
    return held


def _free_on(node: str) -> int:
    """How many of its GPUs Ray has to give; all where it does not know yet."""
    found = available_resources_per_node().get(node)
    return _count_on(node) if found is None else int(found.get("GPU", 0))


def _count_on(node: str) -> int:
    return next((_gpus_of(found) for found in alive_nodes() if found["NodeID"] == node), 0)


def _gpus_of(node: Node) -> int:
    return int(node["Resources"].get("GPU", 0))
