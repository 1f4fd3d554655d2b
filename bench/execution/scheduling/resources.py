"""What a block asks Ray for: bundles of GPUs and cores, and who of its workers goes where.

Usage:
    reservation = ResourceRequest(({"GPU": 2.0, "CPU": 8.0},) * 2, "PACK", ("node-a", "node-b"))
    reservation.needs(variant)                   # what each worker takes of its bundle
"""

import math
from dataclasses import dataclass

from bench.spec.variant import Variant

Bundle = dict[str, float]

_PARTS_OF_A_CORE = 10_000
"""As fine as Ray counts."""


@dataclass(frozen=True)
class ResourceRequest:
    """What to ask Ray for: all of its bundles, which are alike but for their nodes, or none."""

    bundles: tuple[Bundle, ...]
    strategy: str
    nodes: tuple[str, ...]
    """The node of each bundle."""

    @property
    def selectors(self) -> list[dict[str, str]]:
        """The label that each bundle's node must have."""
        return [{"ray.io/node-id": node} for node in self.nodes]

    def __str__(self) -> str:
        """As a user would say it: "2 x (4 GPU, 16 CPU)"."""
        each = ", ".join(f"{count:g} {name}" for name, count in self.bundles[0].items())
        return f"{len(self.bundles)} x ({each})"

    def bundle_of(self, variant: Variant, worker: int) -> int:
        """Which bundle a worker goes to: one of its own, or the first that has room."""
        return worker if is_spread(variant) else worker // self._workers_a_bundle(variant)

    def slot_of(self, variant: Variant, worker: int) -> int:
        """Which of the workers in its bundle a worker is, from 0."""
        return 0 if is_spread(variant) else worker % self._workers_a_bundle(variant)

    def needs(self, variant: Variant) -> Bundle:
        """What each worker of ``variant`` asks for in its bundle: cores, and its GPUs."""
        together = 1 if is_spread(variant) else self._workers_a_bundle(variant)
        sharing = min(variant.workers, together)
        cores = min(bundle["CPU"] for bundle in self.bundles) / sharing
        needs = {"CPU": grantable(cores)}
        if "GPU" in self.bundles[0]:
            needs["GPU"] = float(variant.replicas)
        return needs

    def threads_of(self, variant: Variant) -> int:
        """How many threads each worker of ``variant`` computes with."""
        return variant.threads or self.share_of(variant)

    def share_of(self, variant: Variant) -> int:
        """The whole cores that each worker of ``variant`` has; 1 where it has less than one."""
        return max(1, int(self.needs(variant)["CPU"]))

    def _workers_a_bundle(self, variant: Variant) -> int:
        if "GPU" not in self.bundles[0]:
            return variant.workers
        return int(self.bundles[0]["GPU"]) // variant.replicas


def grantable(cores: float) -> float:
    """Whole cores, of less than one as much as Ray can count.

    Ray would round up: two thirds of a core, three times, are more than two cores to it.
    """
    if cores >= 1:
        return float(int(cores))
    return math.floor(cores * _PARTS_OF_A_CORE + 1e-6) / _PARTS_OF_A_CORE


def is_spread(variant: Variant) -> bool:
    """Whether its workers run each on a node of its own."""
    return variant.placement == "spread" and variant.workers > 1
