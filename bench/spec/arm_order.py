"""Order the arms of a comparison so that no position and no predecessor favours one of them.

Usage:
    orders = ArmOrders(arms=3, seed="20260101:0")
    orders.row(0)                           # [2, 0, 1]: the order in the first repeat or round

The orders of two or more arms follow a Williams square: over a full cycle each arm takes each
position, and follows each other arm, equally often
(E. J. Williams, Austral. J. Sci. Res. A 2, 1949, 149-168).
"""

import random
from collections.abc import Sequence


class ArmOrders:
    """The order of ``arms`` arms in each repeat: rows of a Williams square, shuffled by a seed."""

    def __init__(self, arms: int, seed: str) -> None:
        self._arms, self._seed = arms, seed

    def row(self, repeat: int) -> Sequence[int]:
        """Return the indices of the arms, from 0, in the order of a repeat, from 0."""
        rows = williams_row_count(self._arms)
        cycle, position = divmod(repeat, rows)
        rng = random.Random(f"{self._seed}:cycle:{cycle}")
        shuffled_arms = rng.sample(range(self._arms), self._arms)
        row = rng.sample(range(rows), rows)[position]
        return [shuffled_arms[arm] for arm in williams_row(self._arms, row)]


def williams_row_count(arms: int) -> int:
    """Return the number of rows of a Williams square: ``arms`` if that is even, else twice that."""
    return arms * (2 if arms % 2 else 1)


def williams_row(arms: int, row: int) -> list[int]:
    """Return one order of ``arms`` arms: a row of a Williams square.

    Over all rows each arm takes each position, and follows each other arm, equally often.
    """
    zigzag = [0] + [(i + 1) // 2 if i % 2 else arms - i // 2 for i in range(1, arms)]
    order = [(arm + row) % arms for arm in zigzag]
    return order if row < arms else order[::-1]
