"""Request the devices of a block from Ray, wait for them, and give them back.

Usage:
    placement = PlacementRequest(request)
    placement.ready                             # a reference to wait for; set `granted` then
    if placement.is_blocked(limit_s=3600.0):    # Ray cannot grant it
        placement.move(other_request)
    placement.close()
"""

import time
from collections.abc import Collection
from typing import Any

from ray.util.placement_group import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

from bench.execution.scheduling.resources import ResourceRequest

_CHECK_S = 20.0
"""Seconds between checks of a placement; the devices were free as far as this run knows."""


class PlacementRequest:
    """One placement group: all bundles of a resource request on their nodes, or none."""

    def __init__(self, request: ResourceRequest) -> None:
        self.granted = False
        self.since = time.perf_counter()
        """When the devices were requested."""
        self._checked_at = self.since
        self._submit(request)

    @property
    def waited_s(self) -> float:
        """Seconds since the devices were requested."""
        return time.perf_counter() - self.since

    def is_blocked(self, limit_s: float) -> bool:
        """Return whether Ray still has no room; asks Ray once per interval, else returns False.

        The interval is never longer than ``limit_s``, after which the request is given up.
        """
        now, interval_s = time.perf_counter(), min(_CHECK_S, limit_s)
        if self.granted or now - self._checked_at < interval_s:
            return False
        self._checked_at = now
        return bool(placement_group_table(self.group)["state"] != "CREATED")

    def is_overdue(self, limit_s: float) -> bool:
        """Return whether it has waited longer than its limit."""
        return not self.granted and self.waited_s > limit_s

    def runs_on(self, nodes: Collection[str]) -> bool:
        """Return whether all its devices are on ``nodes``."""
        return set(self.request.nodes).issubset(nodes)

    def wait_reason(self, free: str) -> str:
        """Say what it waits for; ``free`` describes the devices that other work leaves."""
        return f"needs {self.request}, but other work on the cluster leaves only {free}"

    def timeout_reason(self, free: str, limit_s: float) -> str:
        """Say why it was given up."""
        return (
            f"not run: waited {limit_s:g} s for {self.request}, while only {free} was free: "
            "end other work on the cluster, or raise placement_timeout_s"
        )

    def move(self, request: ResourceRequest) -> None:
        """Request other nodes instead; the waiting time continues."""
        self.close()
        self._submit(request)

    def close(self) -> None:
        """Give the devices back, or withdraw the request."""
        remove_placement_group(self.group)

    def _submit(self, request: ResourceRequest) -> None:
        self.request = request
        self.group: PlacementGroup = placement_group(
            list(request.bundles),
            strategy=request.strategy,
            bundle_label_selector=request.selectors,
        )
        self.ready: Any = self.group.ready()
        self._checked_at = time.perf_counter()
