"""What is said of a suite's variants that train like others, and are not run beside them.

Usage:
    for line in duplicate_lines(plan.duplicates): ...
"""

from collections.abc import Iterator, Sequence

from bench.report.text.number_text import plural
from bench.spec.expand import Duplicate

_MOST_NAMED = 3
"""Variants that a line names; there may be thousands."""


def duplicate_lines(duplicates: Sequence[Duplicate]) -> Iterator[str]:
    """A line for each set of keys without effect: which variants they leave as one, and why."""
    by_keys: dict[tuple[str, ...], list[Duplicate]] = {}
    for duplicate in duplicates:
        by_keys.setdefault(tuple(duplicate.without_effect), []).append(duplicate)
    for alike in by_keys.values():
        named = [f"{d.label!r} is {d.same_as!r}" for d in alike[:_MOST_NAMED]]
        more = [f"and {len(alike) - len(named)} more"] if len(alike) > len(named) else []
        verb = "is" if len(alike) == 1 else "are"
        yield (
            f"{plural(len(alike), 'variant')} {verb} the same as another and not run: "
            f"{'; '.join(_without_effect(alike))}: {', '.join([*named, *more])}."
        )


def _without_effect(alike: Sequence[Duplicate]) -> Iterator[str]:
    """Of duplicates in the same keys: these, with the reasons that any of them has."""
    by_why: dict[str, list[str]] = {}
    for key in alike[0].without_effect:
        reasons = dict.fromkeys(duplicate.without_effect[key] for duplicate in alike)
        by_why.setdefault(" or ".join(reasons), []).append(key)
    for why, keys in by_why.items():
        verb = "has" if len(keys) == 1 else "have"
        yield f"{' and '.join(keys)} {verb} no effect, since {why}"
