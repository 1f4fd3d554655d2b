"""Ways in which the files of a run folder are damaged, or made up by a stranger.

Usage:
    @given(damages())
    def test(damage): damage.apply(folder)
"""

import copy
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

_Path = tuple[str | int, ...]

DEEP: Any = "leaf"
for _ in range(60):
    DEEP = {"inner": [DEEP]}

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 2, -1, 10**9, 10**18, 2**63, 10**400),
    *(0.5, 1.5, -0.5, 5e-324, 1e-9, 1e9, 1e300, math.nan, math.inf, -math.inf),
    *("", "x", "NaN", "-Infinity", "1.5", "completed", "diverged", "../../x", "=1+1"),
    *("\x1b[31mred", "\u202eabc", "2026-01-01T00:00:00", "9999-12-31T23:59:59Z", "b000-0000000000"),
    *([], {}, [None], [1, "a"], {"a": None}, [[]], [{}], DEEP, "long" * 5_000, [{}] * 3_000),
)


@dataclass(frozen=True)
class Damage:
    """What befalls one file: which, where in it, and what."""

    file: int
    """Of those of the folder, in their order."""
    place: int
    kind: str
    value: Any
    other: int

    def apply(self, folder: Path) -> None:
        """Damage ``folder``."""
        files = sorted(p for p in folder.rglob("*.json*") if p.is_file())
        # Half the damage befalls run.json, which is one file among many.
        path = folder / "run.json" if self.file % 2 else files[self.file // 2 % len(files)]
        old = path.read_bytes()
        path.write_bytes(self._of_bytes(old) if self.kind in BYTES else self._of_lines(old))

    def _of_bytes(self, old: bytes) -> bytes:
        at = self.place % max(1, len(old))
        if self.kind == "cut":
            return old[:at]
        if self.kind == "insert":
            return old[:at] + bytes([self.other % 256]) + old[at:]
        changed = bytearray(old)
        if changed:
            changed[at] ^= 1 << (self.other % 8)
        return bytes(changed)

    def _of_lines(self, old: bytes) -> bytes:
        """One of the documents in a file, which has one or, published, one a line."""
        try:
            whole = [json.loads(old)]
        except ValueError:
            try:
                whole = [json.loads(line) for line in old.splitlines()]
            except ValueError:
                return old  # damaged before
        at = self.other % max(1, len(whole))
        texts = [json.dumps(doc) if i != at else self._changed(doc) for i, doc in enumerate(whole)]
        return "\n".join(texts).encode()

    def _changed(self, document: Any) -> str:
        document = copy.deepcopy(document)
        places = list(_places(document))
        if not places:
            return json.dumps(self.value)
        path = places[self.place % len(places)]
        parent = document
        for step in path[:-1]:
            parent = parent[step]
        key = path[-1]
        if self.kind == "drop":
            del parent[key]
        elif self.kind == "twice" and isinstance(parent, dict):
            text, name = json.dumps(parent), json.dumps(str(key))
            again = f"{text[:-1]}, {name}: {json.dumps(self.value)}}}"
            return json.dumps(document).replace(text, again, 1)
        elif self.kind == "swap":
            other = places[self.other % len(places)]
            parent[key] = copy.deepcopy(_at(document, other)) if other[: len(path)] != path else 0
        elif self.kind == "turn" and isinstance(parent[key], list):
            parent[key] = [*parent[key][::-1], *parent[key][: self.other % 2]]
        elif self.kind == "rename" and isinstance(parent, dict):
            parent[str(self.value)[:200]] = parent.pop(key)
        else:
            parent[key] = self.value
        return json.dumps(document)


BYTES = ("cut", "insert", "flip")
KINDS = (*BYTES, "drop", "twice", "swap", "turn", "rename", "set", "set", "set")


def _places(value: Any, path: _Path = ()) -> Iterator[_Path]:
    """Each place in a document: long lists by their ends alone."""
    steps: list[Any] = []
    if isinstance(value, dict):
        steps = list(value)
    elif isinstance(value, list):
        steps = sorted({0, 1, len(value) - 1} & set(range(len(value))))
    for step in steps:
        yield (*path, step)
        yield from _places(value[step], (*path, step))


def _at(document: Any, path: _Path) -> Any:
    for step in path:
        document = document[step]
    return document


def damages() -> st.SearchStrategy[Damage]:
    """Any damage of one file."""
    return st.builds(
        Damage,
        file=st.integers(0, 30),
        place=st.integers(0, 5_000),
        kind=st.sampled_from(KINDS),
        value=st.sampled_from(VALUES),
        other=st.integers(0, 5_000),
    )
