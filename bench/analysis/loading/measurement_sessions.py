"""Which invocations of a run make up one session: the same machines, soon after each other.

Usage:
    sessions(invocations, attempts)         # (0, 0, 1): the third began a session of its own

Trials of a session share its conditions (clocks, temperature, neighbours, software) and are not
independent of each other; a resumed run goes on under the conditions that it was interrupted in,
unless it is resumed much later or elsewhere.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.records.run_folder import Invocation

if TYPE_CHECKING:
    import pandas as pd

GAP_S = 3600.0
"""An invocation that begins later than this after the end of the one before is a new session."""
SESSION_COLUMNS = ("invocation", "started_at", "wall_s")
"""The columns of attempts that are needed."""

_VOLATILE = frozenset(
    {"load_average", "available_bytes", "current_hz", "pcie_generation", "pcie_width"}
)
"""What an environment says of the moment, not of the machine: a GPU at rest lowers its clocks
and its link."""


def sessions(invocations: Sequence[Invocation], attempts: "pd.DataFrame") -> tuple[int, ...]:
    """The session of each of ``invocations``, from 0.

    A session goes on where machines, software, source and variables are those of the invocation
    before and ``GAP_S`` or less lies between.
    """
    numbers: list[int] = []
    for index, call in enumerate(invocations):
        before = invocations[index - 1] if index else None
        goes_on = (
            before is not None
            and _fixed(call.environment) == _fixed(before.environment)
            and _seconds(call.started_at) - _end_s(before, index - 1, attempts) <= GAP_S
        )
        numbers.append(numbers[-1] + (not goes_on) if numbers else 0)
    return tuple(numbers)


def with_sessions(attempts: "pd.DataFrame", invocations: Sequence[Invocation]) -> "pd.DataFrame":
    """``attempts`` with a column "session"."""
    numbers = dict(enumerate(sessions(invocations, attempts)))
    # An invocation that run.json does not know is a session of its own.
    unknown = attempts["invocation"] + len(invocations)
    return attempts.assign(session=attempts["invocation"].map(numbers).fillna(unknown).astype(int))


def _end_s(call: Invocation, index: int, attempts: "pd.DataFrame") -> float:
    """When an invocation ended; where it was killed, when the last trial that it recorded did."""
    if call.wall_s is not None:
        return _seconds(call.started_at) + call.wall_s
    own = attempts[attempts["invocation"] == index].dropna(subset=["started_at", "wall_s"])
    ends = [
        _seconds(s) + wall_s for s, wall_s in zip(own["started_at"], own["wall_s"], strict=True)
    ]
    return max(ends, default=_seconds(call.started_at))


def _seconds(moment: str) -> float:
    return datetime.datetime.fromisoformat(moment).timestamp()


def _fixed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _fixed(inner) for key, inner in value.items() if key not in _VOLATILE}
    if isinstance(value, list | tuple):
        return [_fixed(inner) for inner in value]
    return value
