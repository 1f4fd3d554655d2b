"""A block's claim to its devices: asked of Ray, waited for while others hold them, given back.

Usage:
    claim = PlacementRequest(reservation)
    claim.ready                          # a reference to wait for; claim.granted is then set
    if claim.stuck(patience_s=20.0):     # Ray cannot grant it
        claim.move(elsewhere)
    claim.close()
"""

import time
from typing import Any

from ray.util.placement_group import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

from bench.execution.scheduling.resources import ResourceRequest


class PlacementRequest:
    """One placement group: all of a reservation's bundles on their nodes, or none."""

    def __init__(self, reservation: ResourceRequest) -> None:
        self.granted = False
        self.since = time.perf_counter()
        """When the devices were asked for."""
        self._looked_at = self.since
        self._ask(reservation)

    @property
    def waited_s(self) -> float:
        """Since they were asked for."""
        return time.perf_counter() - self.since

    def stuck(self, patience_s: float) -> bool:
        """Whether Ray still has no room for it, looked up each time that patience has run out."""
        now = time.perf_counter()
        if self.granted or now - self._looked_at < patience_s:
            return False
        self._looked_at = now
        return bool(placement_group_table(self.group)["state"] != "CREATED")

    def move(self, reservation: ResourceRequest) -> None:
        """Ask for other nodes instead; the time waited goes on."""
        self.close()
        self._ask(reservation)

    def close(self) -> None:
        """Give the devices back, or ask for them no longer."""
        remove_placement_group(self.group)

    def _ask(self, reservation: ResourceRequest) -> None:
        self.reservation = reservation
        self.group: PlacementGroup = placement_group(
            list(reservation.bundles),
            strategy=reservation.strategy,
            bundle_label_selector=reservation.selectors,
        )
        self.ready: Any = self.group.ready()
        self._looked_at = time.perf_counter()
