"""Break the wall time of a run down into training and overheads.

Usage:
    wall = time_breakdown(attempts, info.invocations)
    wall.training_s / wall.total_s
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.records.run_info import Invocation

_PARTS = ("import", "data_load", "build", "cold_start", "evaluate", "health")
WALL_COLUMNS = ("invocation", "wall_s", "train_s", *(f"{part}_s" for part in _PARTS))
"""The columns of attempts that ``time_breakdown`` reads."""


@dataclass(frozen=True)
class TimeBreakdown:
    """Seconds over all attempts at all trials; trials that ran in parallel each count.

    A part that no trial measured is None, as is ``idle_s`` if the parts exceed the total (in a
    simulated run).
    """

    total_s: float
    """Wall time of each ``bench run`` times the number of trials that it could run in parallel."""
    training_s: float | None
    """All epochs, warm-up included."""
    import_s: float | None
    data_load_s: float | None
    build_s: float | None
    cold_start_s: float | None
    evaluate_s: float | None
    health_s: float | None
    """Examining layers between epochs."""
    idle_s: float | None
    """The rest: starting and ending processes, planning, writing records, idle workers."""

    @property
    def training_share(self) -> float | None:
        """The fraction of the total in which training was measured, from 0 to 1."""
        if self.training_s is None or self.idle_s is None or self.total_s <= 0:
            return None
        return self.training_s / self.total_s


def time_breakdown(attempts: pd.DataFrame, invocations: Sequence[Invocation]) -> TimeBreakdown:
    """Sum up the cost of a run's attempts, part by part."""
    total = sum(_invocation_s(attempts, i, invocation) for i, invocation in enumerate(invocations))
    parts = {
        "training_s": _sum(attempts["train_s"]),
        **{f"{name}_s": _sum(attempts[f"{name}_s"]) for name in _PARTS},
    }
    idle = total - sum(part for part in parts.values() if part is not None)
    return TimeBreakdown(total_s=total, idle_s=idle if idle >= 0 else None, **parts)


def _invocation_s(attempts: pd.DataFrame, index: int, invocation: Invocation) -> float:
    if invocation.wall_s is not None:
        return invocation.wall_s * invocation.lanes
    # It was killed: it took at least as long as its trials.
    return float(attempts.loc[attempts["invocation"] == index, "wall_s"].sum())


def _sum(values: "pd.Series[float]") -> float | None:
    total = float(values.sum(min_count=1))
    return None if math.isnan(total) else total
