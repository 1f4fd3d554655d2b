"""What is said of a suite's variants that train like others, and are not run beside them.

Usage:
    for line in duplicate_lines(plan.duplicates): ...
"""

from collections.abc import Iterator, Mapping, Sequence

from bench.report.number import plural
from bench.spec.expand import Duplicate

_MOST_NAMED = 3
"""Variants that a line names; there may be thousands."""


def duplicate_lines(duplicates: Sequence[Duplicate]) -> Iterator[str]:
    """A line for each set of keys without effect: which variants they leave as one, and why."""
    by_reason: dict[tuple[tuple[str, str], ...], list[Duplicate]] = {}
    for duplicate in duplicates:
        by_reason.setdefault(tuple(duplicate.without_effect.items()), []).append(duplicate)
    for keys, alike in by_reason.items():
        named = [f"{d.label!r} is {d.same_as!r}" for d in alike[:_MOST_NAMED]]
        more = [f"and {len(alike) - len(named)} more"] if len(alike) > len(named) else []
        verb = "is" if len(alike) == 1 else "are"
        yield (
            f"{plural(len(alike), 'variant')} {verb} the same as another and not run: "
            f"{'; '.join(_without_effect(dict(keys)))}: {', '.join([*named, *more])}."
        )


def _without_effect(keys: Mapping[str, str]) -> Iterator[str]:
    by_why: dict[str, list[str]] = {}
    for key, why in keys.items():
        by_why.setdefault(why, []).append(key)
    for why, alike in by_why.items():
        verb = "has" if len(alike) == 1 else "have"
        yield f"{' and '.join(alike)} {verb} no effect, since {why}"
