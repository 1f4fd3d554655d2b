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
FEWEST_WINDOWS = 4
"""Of an epoch that is not tiny: two turns of two windows."""
TINY_EPOCH_STEPS = 16
"""An epoch of fewer steps is one window."""
WINDOW_STEPS = (64, 256)
"""Fewest and most steps to aim for. A window that divides an epoch may have half as many, and a
short epoch has smaller windows.

A turn has two windows or more, so the most decide how long a turn of a slow program takes. A window
also waits for its end once, which many steps must outweigh.
"""


def window_steps(steps: int) -> int:
    """Return the steps of a window: all of a tiny epoch, else about an eighth of an epoch.

    The most is an eighth within ``WINDOW_STEPS``, or a quarter if that is less. If ``steps`` has a
    divisor between half of that and that, the largest one is used. Fewer than eight windows would
    be too few times to judge whether they become steady. The result depends only on the number of
    steps, so the arms of a comparison have equal windows.
    """
    if steps < TINY_EPOCH_STEPS:
        return steps
    low, high = WINDOW_STEPS
    most = max(low, min(high, -(-steps // WINDOWS_PER_EPOCH)))
    most = min(most, -(-steps // FEWEST_WINDOWS))
    sizes = range(most, (most - 1) // 2, -1)
    return next((size for size in sizes if steps % size == 0), most)


def split_windows(steps: int) -> Iterator[tuple[int, int]]:
    """Yield each window of ``steps`` steps as (first step, size); the last may be short."""
    size = window_steps(steps)
    for first in range(0, steps, size):
        yield first, min(size, steps - first)
