"""What stands in one place of a table.

Usage:
    Cell("0.71 [0.69, 0.73]", notes=(1, 3))
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """Text, and the numbers of the footnotes that belong to it."""

    text: str
    notes: tuple[int, ...] = ()
