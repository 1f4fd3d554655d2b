"""The doctor's findings as aligned plain text.

Usage:
    print(render(examine()))

    ok       Python         3.11.7 (CPython)
    missing  Fashion-MNIST  in none of its places
                            mend: bench data fetch
"""

from collections.abc import Sequence

from bench.doctor.machine_checks import Check
from bench.report.text.escaping import plain

_GAP = "  "


def render(checks: Sequence[Check]) -> str:
    """A line a check, its remedy below it, and a last line that counts."""
    states = max((len(check.state) for check in checks), default=0)
    names = max((len(check.name) for check in checks), default=0)
    indent = " " * (states + names + 2 * len(_GAP))
    lines = []
    for check in checks:
        found = plain(check.found)
        lines.append(f"{check.state:<{states}}{_GAP}{check.name:<{names}}{_GAP}{found}".rstrip())
        if check.remedy:
            lines.append(f"{indent}mend: {plain(check.remedy)}")
    return "\n".join([*lines, "", _count(checks)])


def _count(checks: Sequence[Check]) -> str:
    amiss = sum(check.state != "ok" for check in checks)
    if amiss:
        return f"{amiss} of {len(checks)} to mend"
    return f"all {len(checks)} are as they should be"
