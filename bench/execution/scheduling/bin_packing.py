"""Choose the nodes of a job's bundles by best fit; a bundle is never split.

Usage:
    nodes = pack(ResourceShape(bundles=2, devices_each=4), {"a": 8, "b": 3})      # ("a", "a")

Packed bundles go to as few nodes as possible, where the fewest devices remain free. Spread bundles
go to different nodes.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class ResourceShape:
    """The devices that a job uses at once."""

    bundles: int
    devices_each: int
    spread: bool = False
    """Whether each bundle goes to its own node."""

    @property
    def devices(self) -> int:
        """Devices of all bundles."""
        return self.bundles * self.devices_each

    def bundles_on(self, free: int) -> int:
        """Return how many of its bundles fit on a node with ``free`` devices."""
        room = max(0, free) // self.devices_each
        return min(room, 1) if self.spread else room


NodeNames = tuple[str, ...]
"""The node of each bundle."""


def pack(shape: ResourceShape, free: Mapping[str, int]) -> NodeNames | None:
    """Return the node of each bundle; None if the nodes have too few ``free`` devices."""
    rooms = {node: room for node, n in free.items() if (room := shape.bundles_on(n))}
    if sum(rooms.values()) < shape.bundles:
        return None
    chosen: list[str] = []
    while (missing := shape.bundles - len(chosen)) > 0:
        enough = [node for node, room in rooms.items() if room >= missing]
        # Prefer nodes that hold all missing bundles, the fullest first; else those that hold most.
        node = min(enough or rooms, key=lambda n: (0 if enough else -rooms[n], free[n]))
        chosen += [node] * min(missing, rooms.pop(node))
    return tuple(chosen)


def allocate(free: dict[str, int], shape: ResourceShape, nodes: NodeNames) -> dict[str, int]:
    """Subtract what the bundles use from ``free``, and return it."""
    for node in nodes:
        free[node] -= shape.devices_each
    return free


def release(free: dict[str, int], shape: ResourceShape, nodes: NodeNames) -> None:
    """Add what the bundles used to ``free``, except on lost nodes."""
    for node in nodes:
        if node in free:
            free[node] += shape.devices_each
