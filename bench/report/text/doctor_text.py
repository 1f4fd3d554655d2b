"""Format the doctor's checks as aligned plain text.

Usage:
    print(render(examine()))

    ok       Python         3.11.7 (CPython)
    missing  Fashion-MNIST  not in any of its folders
                            fix: bench data fetch
"""

from collections.abc import Sequence

from bench.doctor.machine_checks import Check
from bench.report.text.escaping import plain
from bench.report.text.number_text import plural

_GAP = "  "


def render(checks: Sequence[Check]) -> str:
    """Return one line per check, with its remedy below it, and a last line with the count."""
    state_width = max((len(check.state) for check in checks), default=0)
    name_width = max((len(check.name) for check in checks), default=0)
    indent = " " * (state_width + name_width + 2 * len(_GAP))
    lines = []
    for check in checks:
        cells = (
            f"{check.state:<{state_width}}",
            f"{check.name:<{name_width}}",
            plain(check.finding),
        )
        lines.append(_GAP.join(cells).rstrip())
        if check.remedy:
            lines.append(f"{indent}fix: {plain(check.remedy)}")
    return "\n".join([*lines, "", _count(checks)])


def _count(checks: Sequence[Check]) -> str:
    failures = sum(check.state != "ok" for check in checks)
    if failures:
        return f"{failures} of {plural(len(checks), 'check')} failed"
    return f"all {plural(len(checks), 'check')} passed"
