"""Split an epoch into windows: a number of steps in one compiled call each.

Usage:
    for first, steps in split_windows(1718): ...

XLA compiles a program for each number of steps. With windows that divide an epoch it compiles
only one, and no shorter window at the end has a time that cannot be compared.
"""

from collections.abc import Iterator
from typing import Any

Window = tuple[int, tuple[Any, ...]]
"""A number of steps, and the arguments of the compiled loop over them."""

WINDOWS_PER_EPOCH = 8
WINDOW_STEPS = (64, 512)
"""Fewest and most steps to aim for; a window that divides an epoch may have half as many."""


def window_steps(steps: int) -> int:
    """Return the steps of a window: all of a short epoch, else about an eighth of it.

    The most is an eighth within ``WINDOW_STEPS``. If ``steps`` has a divisor between half of that
    and that, the largest one is used. Fewer than eight windows would be too few times to judge
    whether they become steady. The result depends only on the number of steps, so the arms of a
    comparison have equal windows.
    """
    low, high = WINDOW_STEPS
    if steps < 2 * low:
        return steps
    most = max(low, min(high, -(-steps // WINDOWS_PER_EPOCH)))
    sizes = range(most, (most - 1) // 2, -1)
    return next((size for size in sizes if steps % size == 0), most)


def split_windows(steps: int) -> Iterator[tuple[int, int]]:
    """Yield each window of ``steps`` steps as (first step, size); the last may be short."""
    size = window_steps(steps)
    for first in range(0, steps, size):
        yield first, min(size, steps - first)
