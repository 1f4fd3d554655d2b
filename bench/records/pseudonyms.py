"""Numbered names in the place of those that are nobody's business.

Usage:
    names = Pseudonyms()
    names.of("node", "gpu7.example.org")       # "node-1", each time again
"""

from collections import defaultdict


class Pseudonyms:
    """Equal names have equal pseudonyms, different ones different pseudonyms.

    They are numbered in the order in which they are asked for, so that what was published before
    keeps its own.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[str, str]] = defaultdict(dict)

    def of(self, kind: str, name: str) -> str:
        """The pseudonym of ``name`` among those of its ``kind``."""
        known = self._known[kind]
        return known.setdefault(name, f"{kind}-{len(known) + 1}")
