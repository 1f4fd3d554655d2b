"""What a report says above its table: how to repeat the run, on what it ran, and when.

Usage:
    for title, text in facts(summary): ...
"""

import shlex
from pathlib import PurePath

from bench.analysis.summary import Summary
from bench.analysis.wall import WallTime
from bench.report.machine import environment_facts
from bench.report.number import duration, plural, share


def facts(summary: Summary) -> list[tuple[str, str]]:
    """Titles and texts, in order; what is not known is left out."""
    found = {
        "Command": _command(summary),
        "Run": _what(summary),
        "When": _when(summary),
        **environment_facts(summary.invocations[-1].environment if summary.invocations else {}),
        "Wall time": wall_text(summary.wall),
    }
    return [(title, text) for title, text in found.items() if text]


def wall_text(wall: WallTime) -> str:
    """How much of the wall time was measured training, and where the rest went."""
    parts = {
        "training": wall.training_s,
        "import": wall.import_s,
        "data load": wall.data_load_s,
        "build": wall.build_s,
        "cold start": wall.cold_start_s,
        "evaluation": wall.evaluate_s,
        "idle": wall.idle_s,
    }
    listed = ", ".join(f"{name} {duration(s)}" for name, s in parts.items() if s is not None)
    measured = (
        f", of which {share(wall.training_share)} was measured training"
        if wall.training_share is not None
        else ""
    )
    return f"{duration(wall.total_s)}{measured} ({listed})" if listed else duration(wall.total_s)


def _command(summary: Summary) -> str:
    if not summary.invocations or not summary.invocations[0].command:
        return ""
    program, *arguments = summary.invocations[0].command
    return shlex.join([PurePath(program).name, *arguments])


def _what(summary: Summary) -> str:
    variants = plural(len(summary.variants), "variant")
    text = (
        f"{variants} in {plural(summary.blocks, 'block')}: "
        f"{summary.completed} of {plural(summary.trials, 'trial')} completed"
    )
    retried = f", {plural(summary.retried, 'attempt')} retried" if summary.retried else ""
    executors = ", ".join(dict.fromkeys(call.executor for call in summary.invocations))
    return f"{text}{retried}" + (f", by the {executors} executor" if executors else "")


def _when(summary: Summary) -> str:
    starts = sorted(call.started_at for call in summary.invocations)
    if len(starts) > 1:
        return f"{starts[0]}, and {plural(len(starts) - 1, 'time')} more until {starts[-1]}"
    return starts[0] if starts else ""
