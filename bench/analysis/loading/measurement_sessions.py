"""Group the invocations of a run into sessions: the same machines, close together in time.

Usage:
    sessions(invocations, attempts)         # (0, 0, 1): the third started a new session

Trials of one session share its conditions (clocks, temperature, neighbours, software), so they are
not independent of each other. A resumed run continues the session that was interrupted, unless it
is resumed much later or on other machines.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.records.run_info import Invocation

GAP_S = 3600.0
"""An invocation that starts more than this long after the previous one ended is a new session."""
SESSION_COLUMNS = ("invocation", "started_at", "wall_s")
"""The columns of attempts that ``sessions`` reads."""

_VOLATILE = frozenset(
    {"load_average", "available_bytes", "current_hz", "pcie_generation", "pcie_width"}
)
"""Environment keys that describe the moment, not the machine: an idle GPU lowers its clocks and its
link speed."""


def sessions(invocations: Sequence[Invocation], attempts: pd.DataFrame) -> tuple[int, ...]:
    """Return the session of each of ``invocations``, numbered from 0.

    An invocation continues the previous one's session if machines, software, source and variables
    are the same and at most ``GAP_S`` passed in between.
    """
    numbers: list[int] = []
    for index, call in enumerate(invocations):
        previous = invocations[index - 1] if index else None
        continues = (
            previous is not None
            and _lasting(call.environment) == _lasting(previous.environment)
            and _seconds(call.started_at) - _end_s(previous, index - 1, attempts) <= GAP_S
        )
        numbers.append(numbers[-1] + (not continues) if numbers else 0)
    return tuple(numbers)


def with_sessions(attempts: pd.DataFrame, invocations: Sequence[Invocation]) -> pd.DataFrame:
    """Return ``attempts`` with a column "session"."""
    numbers = dict(enumerate(sessions(invocations, attempts)))
    # An invocation that is missing from run.json is a separate session.
    unknown = attempts["invocation"] + len(invocations)
    return attempts.assign(session=attempts["invocation"].map(numbers).fillna(unknown).astype(int))


def _end_s(call: Invocation, index: int, attempts: pd.DataFrame) -> float:
    """Return when an invocation ended; if it was killed, when its last recorded trial ended."""
    if call.wall_s is not None:
        return _seconds(call.started_at) + call.wall_s
    trials = attempts[attempts["invocation"] == index].dropna(subset=["started_at", "wall_s"])
    ends = [
        _seconds(s) + wall_s
        for s, wall_s in zip(trials["started_at"], trials["wall_s"], strict=True)
    ]
    return max(ends, default=_seconds(call.started_at))


def _seconds(moment: str) -> float:
    return datetime.datetime.fromisoformat(moment).timestamp()


def _lasting(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _lasting(inner) for key, inner in value.items() if key not in _VOLATILE}
    if isinstance(value, list | tuple):
        return [_lasting(inner) for inner in value]
    return value
