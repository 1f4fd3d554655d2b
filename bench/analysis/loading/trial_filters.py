"""Tell from the rows of a frame of trials which may enter which numbers.

Usage:
    timed = trials[is_timed(trials)]
    accurate = trials[has_meaningful_accuracy(trials)]
"""

from typing import Any

import pandas as pd

from bench.analysis.statistics.steady_state import UNSTEADY_VERDICTS


def is_timed(trials: pd.DataFrame) -> "pd.Series[bool]":
    """Return which trials enter means of times: all that completed with a time."""
    return (trials["status"] == "completed") & (trials["epoch_s"] > 0)


def is_unsteady(trials: pd.DataFrame) -> "pd.Series[bool]":
    """Return which of these trials to mark: their epochs drifted or never settled."""
    return is_timed(trials) & trials["steady"].isin(UNSTEADY_VERDICTS)


def examples_used(trials: Any) -> Any:
    """Return the examples that an epoch trains on: those that fill whole batches."""
    return trials["examples"] // trials["global_batch_size"] * trials["global_batch_size"]


def has_silent_replicas(trials: pd.DataFrame) -> "pd.Series[bool]":
    """Return which trials ran replicas that did not communicate; their accuracy means nothing."""
    return (trials["communication"] == "none") & (trials["workers"] * trials["replicas"] > 1)


def has_meaningful_accuracy(trials: pd.DataFrame) -> "pd.Series[bool]":
    """Return which trials trained on real data, with replicas that communicated if several."""
    return (trials["dataset"] != "synthetic") & ~has_silent_replicas(trials)
