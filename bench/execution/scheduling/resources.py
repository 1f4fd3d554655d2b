"""Describe the resources that a block requests from Ray, and assign its workers to bundles.

Usage:
    request = ResourceRequest(({"GPU": 2.0, "CPU": 8.0},) * 2, "PACK", ("node-a", "node-b"))
    request.cores_of(variant)                    # of each worker
"""

import math
from dataclasses import dataclass

from bench.spec.variant import Variant

Bundle = dict[str, float]

_CORE_UNITS = 10_000
"""Ray's resolution: units per core."""


@dataclass(frozen=True)
class ResourceRequest:
    """A request for all bundles or none; the bundles differ only in their nodes."""

    bundles: tuple[Bundle, ...]
    strategy: str
    nodes: tuple[str, ...]
    """The node of each bundle."""

    @property
    def selectors(self) -> list[dict[str, str]]:
        """The label that each bundle's node must have."""
        return [{"ray.io/node-id": node} for node in self.nodes]

    def __str__(self) -> str:
        """Describe the request for a user: "2 x (4 GPU, 16 CPU)"."""
        each = ", ".join(f"{count:g} {name}" for name, count in self.bundles[0].items())
        return f"{len(self.bundles)} x ({each})"

    def bundle_of(self, variant: Variant, worker: int) -> int:
        """Return the bundle of a worker: its own if spread, or the first with room."""
        return worker if is_spread(variant) else worker // self._workers_a_bundle(variant)

    def slot_of(self, variant: Variant, worker: int) -> int:
        """Return the index of a worker among those in its bundle, from 0."""
        return 0 if is_spread(variant) else worker % self._workers_a_bundle(variant)

    def cores_of(self, variant: Variant) -> float:
        """Return the cores of each worker of ``variant``."""
        together = 1 if is_spread(variant) else self._workers_a_bundle(variant)
        cores = min(bundle["CPU"] for bundle in self.bundles)
        return round_cores(cores / min(variant.workers, together))

    def threads_of(self, variant: Variant) -> int:
        """Return the number of threads of each worker of ``variant``."""
        return variant.threads or self.share_of(variant)

    def share_of(self, variant: Variant) -> int:
        """Return the whole cores of each worker of ``variant``; 1 if it has less than one."""
        return max(1, int(self.cores_of(variant)))

    def _workers_a_bundle(self, variant: Variant) -> int:
        if "GPU" not in self.bundles[0]:
            return variant.workers
        return int(self.bundles[0]["GPU"]) // variant.replicas


def round_cores(cores: float) -> float:
    """Round cores down to whole ones, or below one to Ray's resolution.

    Ray would round up: three times two thirds of a core are more than two cores to it.
    """
    if cores >= 1:
        return float(int(cores))
    return math.floor(cores * _CORE_UNITS + 1e-6) / _CORE_UNITS


def is_spread(variant: Variant) -> bool:
    """Return whether each worker runs on its own node."""
    return variant.placement == "spread" and variant.workers > 1
