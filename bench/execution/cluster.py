"""What a Ray cluster has, and what a block of trials takes of it.

Usage:
    cluster = Cluster(ray.nodes(), device="auto")
    cluster.sizes                                # devices of each node; 1 where there are no GPUs
    cluster.shape_of(block)                      # how many of them it takes at once
    cluster.reserve(block, places)               # the placement group to ask for

Nodes are told apart by Ray's own ids: two of them may share an address.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.errors import ResourceError
from bench.execution.placing import Shape, place
from bench.spec.plan import Block
from bench.spec.variant import Variant

Device = Literal["auto", "cpu", "gpu"]
Bundle = dict[str, float]


@dataclass(frozen=True)
class Reservation:
    """What to ask Ray for: all of its bundles, which are alike but for their nodes, or none."""

    bundles: tuple[Bundle, ...]
    strategy: str
    nodes: tuple[str, ...]
    """The node of each bundle."""

    @property
    def selectors(self) -> list[dict[str, str]]:
        """The label that each bundle's node must have."""
        return [{"ray.io/node-id": node} for node in self.nodes]

    def bundle_of(self, variant: Variant, worker: int) -> int:
        """Which bundle a worker goes to: one of its own, or the first that has room."""
        return worker if _is_spread(variant) else worker // self._workers_a_bundle(variant)

    def needs(self, variant: Variant) -> Bundle:
        """What each worker of ``variant`` asks for in its bundle: cores, and its GPUs."""
        together = 1 if _is_spread(variant) else self._workers_a_bundle(variant)
        sharing = min(variant.workers, together)
        cores = min(bundle["CPU"] for bundle in self.bundles) / sharing
        needs = {"CPU": float(int(cores)) if cores >= 1 else cores}
        if "GPU" in self.bundles[0]:
            needs["GPU"] = float(variant.replicas)
        return needs

    def _workers_a_bundle(self, variant: Variant) -> int:
        if "GPU" not in self.bundles[0]:
            return variant.workers
        return int(self.bundles[0]["GPU"]) // variant.replicas


class Cluster:
    """Those of ``nodes``, as ``ray.nodes()`` gives them, that are alive and can run trials.

    ResourceError where there is none.
    """

    def __init__(self, nodes: Iterable[Mapping[str, Any]], device: Device) -> None:
        alive = {node["NodeID"]: node["Resources"] for node in nodes if node["Alive"]}
        with_gpus = {n: r for n, r in alive.items() if r.get("GPU", 0) >= 1 and r.get("CPU", 0)}
        if device == "gpu" and not with_gpus:
            raise ResourceError("--device gpu, but Ray sees no GPU: use --device cpu or auto")
        self.has_gpus = bool(with_gpus) and device != "cpu"
        # A head without GPUs has cores to count that no trial on one can have.
        with_cores = {n: r for n, r in alive.items() if r.get("CPU", 0) >= 1}
        self._nodes: dict[str, Mapping[str, float]] = with_gpus if self.has_gpus else with_cores
        if not self._nodes:
            raise ResourceError("no node of the Ray cluster has a CPU core: give it --num-cpus")

    @property
    def nodes(self) -> tuple[str, ...]:
        """Ids of the nodes that trials can run on."""
        return tuple(self._nodes)

    @property
    def sizes(self) -> dict[str, int]:
        """GPUs of each node; 1 where there are no GPUs, as a trial has all of a node."""
        return {n: int(r["GPU"]) if self.has_gpus else 1 for n, r in self._nodes.items()}

    @property
    def capacity(self) -> int:
        """Devices of all nodes."""
        return sum(self.sizes.values())

    def cores_of(self, node: str) -> float:
        """The cores that a trial of one device has on a node; 0 where none runs there."""
        if node not in self._nodes:
            return 0.0
        return self._cores_a_gpu() if self.has_gpus else float(self._nodes[node]["CPU"])

    def shape_of(self, block: Block) -> Shape:
        """What a block takes of ``sizes``; ResourceError where it can never have it."""
        count, gpus = self._bundles(block)
        if not self.has_gpus:
            shape = Shape(count, 1, spread=True)
            if place(shape, self.sizes) is None:
                raise ResourceError(
                    f"{count} workers, each on a node of its own, are more than the cluster's "
                    f"nodes ({len(self._nodes)}): lower workers, or set placement = 'pack'"
                )
            return shape
        shape = Shape(count, gpus, spread=_any_spread(block))
        if place(shape, self.sizes) is None:
            raise ResourceError(
                f"a block of trials asks for {count} x {gpus} GPUs, the nodes have "
                f"{', '.join(map(str, self.sizes.values()))}: lower replicas or workers"
            )
        return shape

    def reserve(self, block: Block, places: Sequence[str]) -> Reservation:
        """What a block asks for, its bundles on the nodes ``places``."""
        if not self.has_gpus:
            whole = tuple({"CPU": float(self._nodes[node]["CPU"])} for node in places)
            return Reservation(whole, "PACK", tuple(places))
        _, gpus = self._bundles(block)
        bundle = {"GPU": float(gpus), "CPU": self._cores_a_gpu() * gpus}
        strategy = "STRICT_SPREAD" if _any_spread(block) else "PACK"
        return Reservation((bundle,) * len(places), strategy, tuple(places))

    def _bundles(self, block: Block) -> tuple[int, int]:
        """How many in which each trial of ``block`` finds room, and the GPUs of each."""
        variants = [trial.variant for trial in block.trials]
        apart = max((v.workers for v in variants if _is_spread(v)), default=1)
        if not self.has_gpus:
            return apart, 0
        most = max(int(resources["GPU"]) for resources in self._nodes.values())
        packed = [v for v in variants if not _is_spread(v)]
        on_one_node = [v.total_replicas for v in packed if v.total_replicas <= most]
        gpus = max([v.replicas for v in variants] + on_one_node)
        return max([apart] + [-(-v.workers // (gpus // v.replicas)) for v in packed]), gpus

    def _cores_a_gpu(self) -> float:
        """As many on every node, for trials are compared; parts of one where cores are few."""
        share = min(r["CPU"] / r["GPU"] for r in self._nodes.values())
        return float(int(share)) if share >= 1 else share


def _is_spread(variant: Variant) -> bool:
    return variant.placement == "spread" and variant.workers > 1


def _any_spread(block: Block) -> bool:
    return any(_is_spread(trial.variant) for trial in block.trials)
