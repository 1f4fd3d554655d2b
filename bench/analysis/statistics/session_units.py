"""Choose the values over which an interval is taken: one per block or trial, or one per session.

Usage:
    moments(session_units(frame, "variant_id", "epoch_s"), "variant_id", "epoch_s")
    session_means(values, sessions)          # the same for arrays: rows are blocks
    within_sessions(frame, "pair", "log")    # how far blocks differ inside their sessions

Rows of one session share its conditions, so they are not independent of each other. Where the rows
come from several sessions, each session therefore contributes one value: its mean.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

_Array = np.ndarray[Any, np.dtype[np.float64]]


def ensure_sessions(trials: pd.DataFrame) -> pd.DataFrame:
    """Return ``trials`` with a column "session": each invocation is one if there is none yet."""
    return trials if "session" in trials else trials.assign(session=trials["invocation"])


def session_units(frame: pd.DataFrame, key: str, column: str) -> pd.DataFrame:
    """Return the values of ``column`` to average for each ``key``, one per row.

    ``frame`` has a column "session". A key with rows of several sessions has one value per session.
    """
    rows = frame[[key, "session", column]].dropna(subset=[column])
    if rows["session"].nunique() < 2:
        return rows
    means = rows.groupby([key, "session"], sort=False)[column].mean().reset_index()
    several = means[means[key].duplicated(keep=False)]
    return pd.concat([rows[~rows[key].isin(several[key])], several])


def session_means(values: _Array, sessions: Sequence[int]) -> _Array:
    """Return the rows of ``values``, one per block, or with several sessions the mean of each."""
    if len(set(sessions)) < 2:
        return values
    codes = np.array(sessions)
    return np.stack([values[codes == s].mean(axis=0) for s in dict.fromkeys(sessions)])


def within_sessions(frame: pd.DataFrame, key: str, column: str) -> pd.DataFrame:
    """Return mean, error, df and rows of ``column`` for each ``key`` with several sessions.

    The mean is that of the sessions' means. Its standard error takes the sessions as they were and
    counts only the noise within them, pooled over sessions with ``df`` degrees of freedom.
    """
    rows = frame.groupby([key, "session"], sort=False)[column].agg(["count", "mean", "var"])
    rows["squares"] = rows["var"].fillna(0.0) * (rows["count"] - 1)
    rows["inverse"] = 1 / rows["count"]
    sums = rows.groupby(level=key).agg(
        mean=("mean", "mean"),
        sessions=("mean", "size"),
        rows=("count", "sum"),
        squares=("squares", "sum"),
        inverse=("inverse", "sum"),
    )
    sums["df"] = sums["rows"] - sums["sessions"]
    sums = sums[(sums["sessions"] > 1) & (sums["df"] > 0)]
    variance = sums["squares"] / sums["df"] * sums["inverse"]
    return sums.assign(error=np.sqrt(variance) / sums["sessions"])[["mean", "error", "df", "rows"]]


def moments(frame: pd.DataFrame, key: str, column: str) -> pd.DataFrame:
    """Return count, mean and std (ddof 1) of ``column`` for each ``key``, which is the index."""
    return frame.groupby(key, sort=False)[column].agg(["count", "mean", "std"])
