"""Report the variants that a run skips because another variant trains identically.

Usage:
    for line in duplicate_lines(plan.duplicates): ...
"""

from collections.abc import Iterator, Sequence

from bench.report.text.number_text import plural
from bench.spec.expand import Duplicate

_MAX_NAMES = 3
"""How many variants a line names; there may be thousands."""


def duplicate_lines(duplicates: Sequence[Duplicate]) -> Iterator[str]:
    """Yield one line for each set of keys without effect, with the variants and the reason."""
    by_keys: dict[tuple[str, ...], list[Duplicate]] = {}
    for duplicate in duplicates:
        by_keys.setdefault(tuple(duplicate.without_effect), []).append(duplicate)
    for group in by_keys.values():
        names = [f"{d.label!r} is {d.same_as!r}" for d in group[:_MAX_NAMES]]
        more = [f"and {len(group) - len(names)} more"] if len(group) > len(names) else []
        verb = "is" if len(group) == 1 else "are"
        yield (
            f"{plural(len(group), 'variant')} {verb} the same as another and not run: "
            f"{'; '.join(_reason_texts(group))}: {', '.join([*names, *more])}."
        )


def _reason_texts(group: Sequence[Duplicate]) -> Iterator[str]:
    """Yield the keys without effect, by reason; all of ``group`` have the same keys."""
    by_reason: dict[str, list[str]] = {}
    for key in group[0].without_effect:
        reasons = dict.fromkeys(duplicate.without_effect[key] for duplicate in group)
        by_reason.setdefault(" or ".join(reasons), []).append(key)
    for reason, keys in by_reason.items():
        verb = "has" if len(keys) == 1 else "have"
        yield f"{' and '.join(keys)} {verb} no effect because {reason}"
