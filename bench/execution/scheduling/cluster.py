"""Compute what a Ray cluster has, and what a block of trials needs of it.

Usage:
    cluster = Cluster(ray.nodes(), device="auto", unfit={node_id: 1})
    cluster.sizes                                # devices of each node; 1 if there are no GPUs
    cluster.shape_of(block)                      # how many devices it uses at once
    cluster.request_for(block, nodes)            # the placement group to request

Nodes are identified by Ray's ids: two nodes may share an address.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.errors import ResourceError
from bench.execution.scheduling.bin_packing import ResourceShape, pack
from bench.execution.scheduling.resources import Bundle, ResourceRequest, is_spread, round_cores
from bench.spec.device import RequestedDevice
from bench.spec.plan import Block

_MAX_KINDS = 4
"""Number of kinds of nodes that a message names."""
_CORES_TOO = ", or start Ray with --num-cpus on the GPU nodes that have no CPU core"


class Cluster:
    """The nodes of ``nodes``, as ``ray.nodes()`` describes them, that are alive and can run trials.

    ``unfit`` is how many GPUs of a node must not be used. Raises ResourceError if there is no node.
    """

    def __init__(
        self,
        nodes: Iterable[Mapping[str, Any]],
        device: RequestedDevice,
        unfit: Mapping[str, int] | None = None,
    ) -> None:
        self._unfit = unfit or {}
        alive = {node["NodeID"]: node["Resources"] for node in nodes if node["Alive"]}
        all_with_gpus = {n: r for n, r in alive.items() if r.get("GPU", 0) >= 1}
        with_gpus = {n: r for n, r in all_with_gpus.items() if r.get("CPU", 0) > 0}
        self._without_cores = len(all_with_gpus) - len(with_gpus)
        if device == "gpu" and not all_with_gpus:
            raise ResourceError("--device gpu, but Ray sees no GPU: use --device cpu or auto")
        if device != "cpu" and all_with_gpus and not with_gpus:
            raise ResourceError(
                "the nodes with GPUs have no CPU core for trials: start Ray there with --num-cpus, "
                "or use --device cpu"
            )
        self.has_gpus = bool(with_gpus) and device != "cpu"
        # With GPUs in use, the cores of a head without GPUs do not count: no trial could have them.
        with_cores = {n: r for n, r in alive.items() if r.get("CPU", 0) >= 1}
        self._nodes: dict[str, Mapping[str, float]] = with_gpus if self.has_gpus else with_cores
        if not self._nodes:
            raise ResourceError(
                "no node of the Ray cluster has a CPU core: start Ray with --num-cpus"
            )

    @property
    def nodes(self) -> tuple[str, ...]:
        """Ids of the nodes that trials can run on."""
        return tuple(self._nodes)

    @property
    def sizes(self) -> dict[str, int]:
        """GPUs of each node; 1 without GPUs, because a trial uses the whole node."""
        if not self.has_gpus:
            return dict.fromkeys(self._nodes, 1)
        return {n: int(r["GPU"]) - self._unfit.get(n, 0) for n, r in self._nodes.items()}

    @property
    def capacity(self) -> int:
        """Devices of all nodes."""
        return sum(self.sizes.values())

    def cores_of(self, node: str) -> float:
        """Return the cores of a trial with one device on a node; 0 if none can run there."""
        if node not in self._nodes:
            return 0.0
        return self._cores_a_gpu() if self.has_gpus else float(self._nodes[node]["CPU"])

    def shape_of(self, block: Block) -> ResourceShape:
        """Return the devices that a block needs; ResourceError if the cluster can never hold it."""
        count, gpus = self._bundles(block)
        if not self.has_gpus:
            shape = ResourceShape(count, 1, spread=True)
            if pack(shape, self.sizes) is None:
                raise ResourceError(
                    f"{count} workers need one node each, but the cluster has "
                    f"only {len(self._nodes)}: lower workers, or set placement = 'pack'"
                )
            return shape
        shape = ResourceShape(count, gpus, spread=_any_spread(block))
        if pack(shape, self.sizes) is None:
            had = Counter(self.sizes.values())
            raise ResourceError(
                f"a block of trials needs {count} x {gpus} GPUs, but the nodes have "
                f"{', '.join(f'{nodes} x {size}' for size, nodes in sorted(had.items()))}: lower "
                f"replicas or workers{_CORES_TOO if self._without_cores else ''}"
            )
        return shape

    def request_for(self, block: Block, nodes: Sequence[str]) -> ResourceRequest:
        """Return the resources that a block requests, with its bundles on ``nodes``."""
        if not self.has_gpus:
            whole = tuple({"CPU": float(self._nodes[node]["CPU"])} for node in nodes)
            return ResourceRequest(whole, "PACK", tuple(nodes))
        _, gpus = self._bundles(block)
        bundle = {"GPU": float(gpus), "CPU": self._cores_a_gpu() * gpus}
        strategy = "STRICT_SPREAD" if _any_spread(block) else "PACK"
        return ResourceRequest((bundle,) * len(nodes), strategy, tuple(nodes))

    def free_devices(self, free: Mapping[str, Bundle]) -> dict[str, int]:
        """Return how many devices of each node are available from its ``free`` resources."""
        if not self.has_gpus:
            whole = {node: resources["CPU"] for node, resources in self._nodes.items()}
            return {n: int(free.get(n, {}).get("CPU", 0.0) >= cores) for n, cores in whole.items()}
        each = self._cores_a_gpu()
        available = {node: free.get(node, {}) for node in self._nodes}
        return {
            node: int(min(r.get("GPU", 0.0), r.get("CPU", 0.0) / each + 1e-6))
            for node, r in available.items()
        }

    def free_text(self, free: Mapping[str, Bundle]) -> str:
        """Describe for a user what is ``free`` on the nodes: "2 x (1 GPU, 3 CPU)"."""
        names = ("GPU", "CPU") if self.has_gpus else ("CPU",)
        each = Counter(
            ", ".join(f"{free.get(node, {}).get(name, 0.0):g} {name}" for name in names)
            for node in self._nodes
        )
        return ", ".join(f"{nodes} x ({what})" for what, nodes in each.most_common(_MAX_KINDS))

    def _bundles(self, block: Block) -> tuple[int, int]:
        """Return how many bundles hold each trial of ``block``, and the GPUs of each bundle."""
        variants = [trial.variant for trial in block.trials]
        apart = max((v.workers for v in variants if is_spread(v)), default=1)
        if not self.has_gpus:
            return apart, 0
        most = max(self.sizes.values())
        packed = [v for v in variants if not is_spread(v)]
        on_one_node = [v.total_replicas for v in packed if v.total_replicas <= most]
        gpus = max([v.replicas for v in variants] + on_one_node)
        return max([apart] + [-(-v.workers // (gpus // v.replicas)) for v in packed]), gpus

    def _cores_a_gpu(self) -> float:
        """Return the cores per GPU, equal on all nodes for comparable trials; may be below 1.

        The cores of an unused GPU stay unused, so that earlier and later trials have the same
        number.
        """
        return round_cores(min(r["CPU"] / int(r["GPU"]) for r in self._nodes.values()))


def _any_spread(block: Block) -> bool:
    return any(is_spread(trial.variant) for trial in block.trials)
