"""Where the wall time of a run went: how much of it was training that was measured.

Usage:
    wall = time_breakdown(attempts, info.invocations)
    wall.training_s / wall.total_s
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.records.run_folder import Invocation

if TYPE_CHECKING:
    import pandas as pd

_PARTS = ("import", "data_load", "build", "cold_start", "evaluate", "health")
WALL_COLUMNS = ("invocation", "wall_s", "train_s", *(f"{part}_s" for part in _PARTS))
"""The columns of attempts that it is made from."""


@dataclass(frozen=True)
class TimeBreakdown:
    """Seconds over all attempts at all trials; lanes that ran at once each count their own.

    A part that no trial measured is None, as is ``idle_s`` where the parts exceed the total
    (a simulated run).
    """

    total_s: float
    """Wall time of each call of ``bench run`` times the trials that it could run at once."""
    training_s: float | None
    """All epochs, warm-up included."""
    import_s: float | None
    data_load_s: float | None
    build_s: float | None
    cold_start_s: float | None
    evaluate_s: float | None
    health_s: float | None
    """Looking at layers between epochs."""
    idle_s: float | None
    """The rest: starting and ending processes, planning, records, lanes without a trial."""

    @property
    def training_share(self) -> float | None:
        """The part of the total in which training was measured, from 0 to 1."""
        if self.training_s is None or self.idle_s is None or self.total_s <= 0:
            return None
        return self.training_s / self.total_s


def time_breakdown(attempts: "pd.DataFrame", invocations: Sequence[Invocation]) -> TimeBreakdown:
    """What the attempts of a run cost, part by part."""
    total = sum(_invocation_s(attempts, i, call) for i, call in enumerate(invocations))
    parts = {
        "training_s": _sum(attempts["train_s"]),
        **{f"{name}_s": _sum(attempts[f"{name}_s"]) for name in _PARTS},
    }
    idle = total - sum(part for part in parts.values() if part is not None)
    return TimeBreakdown(total_s=total, idle_s=idle if idle >= 0 else None, **parts)


def _invocation_s(attempts: "pd.DataFrame", index: int, call: Invocation) -> float:
    if call.wall_s is not None:
        return call.wall_s * call.lanes
    # It was killed: what its trials took is the least that it took.
    return float(attempts.loc[attempts["invocation"] == index, "wall_s"].sum())


def _sum(values: "pd.Series[float]") -> float | None:
    total = float(values.sum(min_count=1))
    return None if math.isnan(total) else total
