"""An epoch in windows: so many steps in one compiled call.

Usage:
    for first, steps in split(1718): ...
"""

from collections.abc import Iterator
from typing import Any

Window = tuple[int, tuple[Any, ...]]
"""A number of steps, and what the compiled loop over them takes as arguments."""

WINDOWS_PER_EPOCH = 8
WINDOW_STEPS = (64, 512)
"""Fewest and most steps of a window."""


def window_steps(steps: int) -> int:
    """Steps of a compiled window: an eighth of an epoch within bounds, all where it is short.

    It follows from the number of steps alone, so arms of one comparison have equal windows.
    """
    low, high = WINDOW_STEPS
    return min(steps, max(low, min(high, -(-steps // WINDOWS_PER_EPOCH))))


def split(steps: int) -> Iterator[tuple[int, int]]:
    """The windows of ``steps`` steps as (first step, number of steps); the last may be short."""
    size = window_steps(steps)
    for first in range(0, steps, size):
        yield first, min(size, steps - first)
