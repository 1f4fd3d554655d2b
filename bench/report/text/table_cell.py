"""One cell of a table.

Usage:
    Cell("0.71 [0.69, 0.73]", notes=(1, 3))
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """The text of a cell, and the numbers of its footnotes."""

    text: str
    notes: tuple[int, ...] = ()
