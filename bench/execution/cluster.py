"""What a Ray cluster has, and what a block of trials takes of it.

Usage:
    cluster = Cluster(device="auto")
    cluster.capacity                             # devices, or nodes where there are no GPUs
    cluster.share_of(block)                      # how many of them it takes
    cluster.reserve(block, free_nodes)           # the placement group to ask for
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import ray

from bench.errors import ResourceError
from bench.spec.plan import Block
from bench.spec.variant import Variant

Device = Literal["auto", "cpu", "gpu"]
Bundle = dict[str, float]


@dataclass(frozen=True)
class Reservation:
    """What to ask Ray for: all of its bundles, or none."""

    bundles: tuple[Bundle, ...]
    strategy: str
    nodes: tuple[str, ...] = ()
    """Addresses of the nodes that it takes whole, where there are no GPUs."""

    def needs(self, variant: Variant) -> Bundle:
        """What each worker of ``variant`` asks for in its bundle: cores, and its GPUs."""
        sharing = -(-variant.workers // len(self.bundles))
        cores = min(bundle["CPU"] for bundle in self.bundles) / sharing
        needs = {"CPU": float(int(cores)) if cores >= 1 else cores}
        if "GPU" in self.bundles[0]:
            needs["GPU"] = float(variant.replicas)
        return needs


class Cluster:
    """The nodes that were alive when the run began. ResourceError where they do not do."""

    def __init__(self, device: Device) -> None:
        alive = [node for node in ray.nodes() if node["Alive"]]
        self._resources: dict[str, dict[str, float]] = {
            node["NodeManagerAddress"]: node["Resources"] for node in alive
        }
        with_gpus = {a: r for a, r in self._resources.items() if r.get("GPU", 0) >= 1}
        if device == "gpu" and not with_gpus:
            raise ResourceError("--device gpu, but Ray sees no GPU: use --device cpu or auto")
        self.has_gpus = bool(with_gpus) and device != "cpu"
        # A head without GPUs has cores to count that no trial on one can have.
        self._nodes = with_gpus if self.has_gpus else self._with_cores()
        if not self._nodes:
            raise ResourceError("no node of the Ray cluster has a CPU core: give it --num-cpus")

    def _with_cores(self) -> dict[str, dict[str, float]]:
        return {a: r for a, r in self._resources.items() if r.get("CPU", 0) >= 1}

    @property
    def nodes(self) -> tuple[str, ...]:
        """Addresses of the nodes that trials can run on."""
        return tuple(self._nodes)

    @property
    def capacity(self) -> int:
        """GPUs of all nodes; nodes where there are no GPUs, as a trial has all of a node."""
        if not self.has_gpus:
            return len(self._nodes)
        return int(sum(resources["GPU"] for resources in self._nodes.values()))

    def share_of(self, block: Block) -> int:
        """How much of ``capacity`` a block takes; ResourceError where it can never have it."""
        variant = _largest(block)
        if self.has_gpus:
            self._check_gpus(variant)
            return variant.total_replicas
        if variant.placement == "spread" and variant.workers > len(self._nodes):
            raise ResourceError(
                f"{variant.workers} workers, each on its own node, are more than the "
                f"{len(self._nodes)} nodes of the cluster: lower workers, or set placement = 'pack'"
            )
        return variant.workers if variant.placement == "spread" else 1

    def reserve(self, block: Block, free_nodes: Sequence[str]) -> Reservation:
        """What a block asks for; on CPUs, whole nodes out of ``free_nodes``."""
        variant = _largest(block)
        spread = variant.placement == "spread" and variant.workers > 1
        if self.has_gpus:
            return self._reserve_gpus(variant, spread)
        # A sliver of a node's own resource ties the bundle to it.
        nodes = tuple(free_nodes[: self.share_of(block)])
        bundles = ({"CPU": self._nodes[n]["CPU"], f"node:{n}": 0.001} for n in nodes)
        return Reservation(tuple(bundles), "PACK", nodes)

    def _reserve_gpus(self, variant: Variant, spread: bool) -> Reservation:
        fits_one_node = variant.total_replicas <= max(r["GPU"] for r in self._nodes.values())
        parts = 1 if fits_one_node and not spread else variant.workers
        gpus = variant.total_replicas // parts
        bundle = {"GPU": float(gpus), "CPU": self._cores_a_gpu() * gpus}
        return Reservation((bundle,) * parts, "STRICT_SPREAD" if spread else "PACK")

    def _cores_a_gpu(self) -> float:
        return max(1.0, min(r.get("CPU", 1.0) // r["GPU"] for r in self._nodes.values()))

    def _check_gpus(self, variant: Variant) -> None:
        here = [int(resources["GPU"]) for resources in self._nodes.values()]
        fitting = [gpus // variant.replicas for gpus in here]
        room = len([n for n in fitting if n]) if variant.placement == "spread" else sum(fitting)
        if room < variant.workers:
            raise ResourceError(
                f"a trial asks for {variant.workers} x {variant.replicas} GPUs, the nodes have "
                f"{', '.join(map(str, here))}: lower replicas or workers"
            )


def _largest(block: Block) -> Variant:
    variants = [trial.variant for trial in block.trials]
    return max(variants, key=lambda v: (v.total_replicas, v.workers))
