"""An epoch in windows: so many steps in one compiled call.

Usage:
    for first, steps in split_windows(1718): ...

XLA compiles a program for each number of steps, so windows that divide an epoch cost one
compilation and not two, and no remainder has a time of its own.
"""

from collections.abc import Iterator
from typing import Any

Window = tuple[int, tuple[Any, ...]]
"""A number of steps, and what the compiled loop over them takes as arguments."""

WINDOWS_PER_EPOCH = 8
WINDOW_STEPS = (64, 512)
"""Fewest and most steps that are aimed at; windows that divide an epoch may have half of that."""


def window_steps(steps: int) -> int:
    """Steps of a compiled window: all of a short epoch, else about an eighth of it.

    An eighth within ``WINDOW_STEPS`` is the most; the largest divisor of ``steps`` from half of
    that upwards is taken where there is one. Fewer windows than eight would leave too few times
    to judge whether they settle.
    It follows from the number of steps alone, so arms of one comparison have equal windows.
    """
    low, high = WINDOW_STEPS
    if steps < 2 * low:
        return steps
    most = max(low, min(high, -(-steps // WINDOWS_PER_EPOCH)))
    sizes = range(most, (most - 1) // 2, -1)
    return next((size for size in sizes if steps % size == 0), most)


def split_windows(steps: int) -> Iterator[tuple[int, int]]:
    """The windows of ``steps`` steps as (first step, number of steps); the last may be short."""
    size = window_steps(steps)
    for first in range(0, steps, size):
        yield first, min(size, steps - first)
