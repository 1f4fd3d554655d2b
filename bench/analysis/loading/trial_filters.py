"""Tell from the rows of a frame of trials which may enter which numbers.

Usage:
    timed = trials[is_usable(trials)]
    accurate = trials[has_meaningful_accuracy(trials)]
"""

from typing import Any

import pandas as pd

from bench.analysis.statistics.steady_state import EXCLUDED_VERDICTS


def is_usable(trials: pd.DataFrame) -> "pd.Series[bool]":
    """Return which trials may enter a mean of times: completed, timed, not known to be unsteady."""
    completed = (trials["status"] == "completed") & (trials["epoch_s"] > 0)
    return completed & ~trials["steady"].isin(EXCLUDED_VERDICTS)


def examples_used(trials: Any) -> Any:
    """Return the examples that an epoch trains on: those that fill whole batches."""
    return trials["examples"] // trials["global_batch_size"] * trials["global_batch_size"]


def has_silent_replicas(trials: pd.DataFrame) -> "pd.Series[bool]":
    """Return which trials ran replicas that did not communicate; their accuracy means nothing."""
    return (trials["communication"] == "none") & (trials["workers"] * trials["replicas"] > 1)


def has_meaningful_accuracy(trials: pd.DataFrame) -> "pd.Series[bool]":
    """Return which trials trained on real data, with replicas that communicated if several."""
    return (trials["dataset"] != "synthetic") & ~has_silent_replicas(trials)
