"""Split a large group of arms into parts that each fit on a machine at once.

Usage:
    group_parts(["none", "a", "b", "c"], pairs, arms_at_once=2)
    # [("none", "a", "b"), ("none", "c")]: the baseline trains in both parts

The arms of a part take turns, so that an arm can be compared only within its part. Every comparison
therefore has both of its arms in some part, and arms that several parts need train several times.
"""

from collections.abc import Iterable, Iterator, Sequence

from bench.spec.pairing import Pair
from bench.spec.turn_settings import DEFAULT_ARMS_AT_ONCE


def group_parts(
    arms: Sequence[str], pairs: Iterable[Pair], arms_at_once: int = DEFAULT_ARMS_AT_ONCE
) -> list[tuple[str, ...]]:
    """Return the variant ids of each part, in the order of ``arms``, the group's variant ids.

    A part has at most ``arms_at_once`` arms beside a baseline. A group of that size is one part.
    """
    if len(arms) <= arms_at_once + 1:
        return [tuple(arms)]
    parts: list[set[str]] = []
    for comparisons in _comparisons_at_once(arms, pairs, arms_at_once):
        fitting = [part for part in parts if len(part | comparisons) <= arms_at_once + 1]
        closest = max(fitting, key=lambda part: len(part & comparisons), default=None)
        if closest is not None and closest & comparisons:
            closest |= comparisons
        else:
            parts.append(comparisons)
    return [tuple(arm for arm in arms if arm in part) for part in parts]


def _comparisons_at_once(
    arms: Sequence[str], pairs: Iterable[Pair], arms_at_once: int
) -> Iterator[set[str]]:
    """Yield each baseline with arms that are compared with it, in as equal numbers as possible."""
    compared: dict[str, set[str]] = {arm: set() for arm in arms}
    for pair in pairs:
        if pair.baseline_id in compared:
            compared[pair.baseline_id].add(pair.variant_id)
    for baseline, others in compared.items():
        ordered = [arm for arm in arms if arm in others]
        count = -(-len(ordered) // arms_at_once)
        yield from ({baseline, *ordered[first::count]} for first in range(count))
