"""Write the facts above a report's table: how to repeat the run, its machines, its times.

Usage:
    for title, text in header_facts(summary): ...
"""

import shlex
from collections.abc import Iterable
from pathlib import PurePath

from bench.analysis.questions.time_breakdown import TimeBreakdown
from bench.analysis.summary import Summary
from bench.records.run_info import Invocation
from bench.report.text.environment_text import environment_facts
from bench.report.text.number_text import duration, percent, plural


def header_facts(summary: Summary) -> list[tuple[str, str]]:
    """Return titles and texts in order, without the facts that are unknown."""
    facts = {
        "Command": _merge(_command(call) for call in summary.invocations),
        "Remark": summary.remark,
        "Run": _outcome(summary),
        "When": _start_times(summary),
        **{title: _merge(texts) for title, texts in _environments(summary).items()},
        "Wall time": wall_time_text(summary.wall),
    }
    return [(title, text) for title, text in facts.items() if text]


def differing_titles(summary: Summary) -> tuple[str, ...]:
    """Return the titles of the environment facts in which the invocations differ."""
    environments = _environments(summary)
    return tuple(title for title, texts in environments.items() if len(set(texts)) > 1)


def wall_time_text(wall: TimeBreakdown) -> str:
    """Say how much of the wall time was measured training, and where the rest went."""
    parts = {
        "training": wall.training_s,
        "import": wall.import_s,
        "data load": wall.data_load_s,
        "build": wall.build_s,
        "cold start": wall.cold_start_s,
        "evaluation": wall.evaluate_s,
        "layer inspection": wall.health_s,
        "idle": wall.idle_s,
    }
    listed = ", ".join(f"{name} {duration(s)}" for name, s in parts.items() if s is not None)
    training = (
        f", of which {percent(wall.training_share)} was measured training"
        if wall.training_share is not None
        else ""
    )
    return f"{duration(wall.total_s)}{training} ({listed})" if listed else duration(wall.total_s)


def _environments(summary: Summary) -> dict[str, list[str]]:
    """Return under each title the text of each invocation."""
    calls = [environment_facts(call.environment) for call in summary.invocations]
    return {title: [facts[title] for facts in calls] for title in calls[0]} if calls else {}


def _merge(texts: Iterable[str]) -> str:
    """Return one text if all are equal, else each text with the numbers of its invocations."""
    calls: dict[str, list[str]] = {}
    for number, text in enumerate(texts, start=1):
        calls.setdefault(text, []).append(str(number))
    if len(calls) < 2:
        return next(iter(calls), "")
    return "; ".join(
        f"{text or 'unknown'} (invocation{'s' if len(numbers) > 1 else ''} {', '.join(numbers)})"
        for text, numbers in calls.items()
    )


def _command(call: Invocation) -> str:
    if not call.command:
        return ""
    program, *arguments = call.command
    return shlex.join([PurePath(program).name, *arguments])


def _outcome(summary: Summary) -> str:
    variants = plural(len(summary.variants), "variant")
    text = (
        f"{variants} in {plural(summary.blocks, 'block')}: "
        f"{summary.completed} of {plural(summary.trials, 'trial')} completed"
    )
    retried = f", {plural(summary.retried, 'attempt')} retried" if summary.retried else ""
    executors = ", ".join(dict.fromkeys(call.executor for call in summary.invocations))
    return f"{text}{retried}" + (f", by the {executors} executor" if executors else "")


def _start_times(summary: Summary) -> str:
    starts = sorted(call.started_at for call in summary.invocations)
    if len(starts) > 1:
        return f"{starts[0]}, and {plural(len(starts) - 1, 'time')} more until {starts[-1]}"
    return starts[0] if starts else ""
