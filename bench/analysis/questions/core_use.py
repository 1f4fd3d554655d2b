"""Sum up what used the cores of the machine while the trials of a run had them.

Usage:
    cores = core_use(completed)
    cores.own, cores.others, cores.stolen, cores.largest_taken_share
"""

from dataclasses import dataclass

import pandas as pd

CORE_COLUMNS = (
    *("total_s", "wall_s", "import_s", "cpu_s", "other_cpu_s", "steal_s"),
    *("cpu_taken_share", "cpu_throttled_s"),
)
"""The columns of trials that ``core_use`` reads."""


@dataclass(frozen=True, slots=True)
class CoreUse:
    """CPU seconds per second of the trials that measured them; None if unknown."""

    own: float
    """Cores that a trial's process used, on average over time."""
    others: float | None
    """Cores that all other processes of its node used."""
    stolen: float | None
    """Cores that the hypervisor gave to other machines."""
    throttled: float | None
    """Seconds for which a quota throttled threads, for each second."""
    largest_taken_share: float | None
    """Share of a trial's own cores that other work took at least, in the worst trial."""
    trials: int


def core_use(completed: pd.DataFrame) -> CoreUse | None:
    """Return what used the cores, from the end of a trial's imports to its record.

    Returns None if no trial measured its CPU time.
    """
    # Within the driver's process a trial has no process time of its own, and imports nothing.
    process_s = completed["total_s"].fillna(completed["wall_s"])
    wall_s = process_s - completed["import_s"].fillna(0.0)
    measured = completed[(completed["cpu_s"] > 0) & (wall_s > 0)]
    if measured.empty:
        return None
    largest = completed["cpu_taken_share"].max()
    return CoreUse(
        own=_cores(measured, "cpu_s", wall_s) or 0.0,
        others=_cores(measured, "other_cpu_s", wall_s),
        stolen=_cores(measured, "steal_s", wall_s),
        throttled=_cores(measured, "cpu_throttled_s", wall_s),
        largest_taken_share=None if pd.isna(largest) else float(largest),
        trials=len(measured),
    )


def _cores(trials: pd.DataFrame, name: str, wall_s: "pd.Series[float]") -> float | None:
    known = trials[name].dropna()
    return float(known.sum() / wall_s[known.index].sum()) if len(known) else None
