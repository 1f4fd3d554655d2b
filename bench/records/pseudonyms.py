"""Replace private names by numbered pseudonyms.

Usage:
    names = Pseudonyms()
    names.of("node", "gpu7.example.org")       # "node-1", every time
"""

from collections import defaultdict


class Pseudonyms:
    """Pseudonyms that are equal for equal names and different for different names.

    They are numbered in the order of the calls, so that earlier publications keep their numbers.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[str, str]] = defaultdict(dict)

    def of(self, kind: str, name: str) -> str:
        """Return the pseudonym of ``name`` among the names of its ``kind``."""
        known = self._known[kind]
        return known.setdefault(name, f"{kind}-{len(known) + 1}")
