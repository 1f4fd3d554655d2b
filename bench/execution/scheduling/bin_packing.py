"""On which nodes the bundles of a job go: each whole on one node, by best fit.

Usage:
    places = pack(ResourceShape(bundles=2, devices_each=4), {"a": 8, "b": 3})      # ("a", "a")

Packed bundles go to as few nodes as hold them, and there where least is left over; spread ones
each to a node of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class ResourceShape:
    """What a job takes at once."""

    bundles: int
    devices_each: int
    spread: bool = False
    """Each bundle on a node of its own."""

    @property
    def devices(self) -> int:
        """Of all bundles."""
        return self.bundles * self.devices_each

    def bundles_on(self, free: int) -> int:
        """How many of its bundles a node with ``free`` devices takes."""
        room = max(0, free) // self.devices_each
        return min(room, 1) if self.spread else room


Places = tuple[str, ...]
"""The node of each bundle."""


def pack(shape: ResourceShape, free: Mapping[str, int]) -> Places | None:
    """The node of each bundle; None where ``free`` devices of the nodes do not do."""
    rooms = {node: room for node, n in free.items() if (room := shape.bundles_on(n))}
    if sum(rooms.values()) < shape.bundles:
        return None
    chosen: list[str] = []
    while (left := shape.bundles - len(chosen)) > 0:
        enough = [node for node, room in rooms.items() if room >= left]
        # Nodes that hold all that is left, the fullest first; else those that hold most.
        node = min(enough or rooms, key=lambda n: (0 if enough else -rooms[n], free[n]))
        chosen += [node] * min(left, rooms.pop(node))
    return tuple(chosen)


def allocate(free: dict[str, int], shape: ResourceShape, places: Places) -> dict[str, int]:
    """``free``, less what the bundles take."""
    for node in places:
        free[node] -= shape.devices_each
    return free


def release(free: dict[str, int], shape: ResourceShape, places: Places) -> None:
    """Add what the bundles took, but on nodes that are no more."""
    for node in places:
        if node in free:
            free[node] += shape.devices_each
