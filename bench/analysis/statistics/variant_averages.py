"""Average a column for each variant, with the interval that suits the column.

Usage:
    estimates(completed, "epoch_s")["3fa9..."]      # Estimate(value=0.71, low=0.69, high=0.73, n=3)

``completed`` has one row per completed trial, with its variant, session and measures.
"""

import numpy as np
import pandas as pd

from bench.analysis.statistics.intervals import (
    Estimate,
    clamp_fraction,
    estimate,
    geometric_estimate,
)
from bench.analysis.statistics.session_units import moments, session_units

TIME_COLUMNS = frozenset(
    {"epoch_s", "examples_per_s", "cold_start_s", "time_to_accuracy_s"}
    | {"time_to_accuracy_with_cold_start_s"}
    | {"energy_j", "mean_power_w", "mfu"}
)
"""Positive, and dependent on the conditions of a session: means of logarithms, one value per
session."""
FRACTION_COLUMNS = frozenset(
    {"val_accuracy", "test_accuracy", "clipped_share", "skipped_share", "input_wait_share", "mfu"}
)
"""Between 0 and 1, as are the intervals of their means."""
SIZE_COLUMNS = frozenset({"peak_rss_bytes", "peak_device_memory_bytes"})
"""Positive: means of logarithms, one value per trial."""


def estimates(completed: pd.DataFrame, name: str) -> dict[str, Estimate]:
    """Return the mean of column ``name`` by variant id; a variant without a value is left out.

    Trials of one block that differ only in their part share its state and seed: they give one
    value, their mean.
    """
    build = geometric_estimate if name in TIME_COLUMNS | SIZE_COLUMNS else estimate
    values = completed[name].to_numpy(dtype=float, na_value=np.nan)
    if build is geometric_estimate:
        values = np.log(values, where=values > 0, out=np.full(len(values), np.nan))
    known = ~np.isnan(values)
    if not known.any():
        return {}
    columns = {"variant_id": completed["variant_id"], "session": completed["session"], name: values}
    frame = pd.DataFrame(columns)[known]
    if "part" in completed and completed["part"].any():
        keys = ["variant_id", "session", "block"]
        frame = frame.assign(block=completed["block"]).groupby(keys, sort=False)[name].mean()
        frame = frame.reset_index()
    if name in TIME_COLUMNS:
        frame = session_units(frame, "variant_id", name)
    by_variant = {
        variant_id: build(int(n), float(mean), float(deviation))
        for variant_id, n, mean, deviation in moments(frame, "variant_id", name).itertuples()
    }
    if name not in FRACTION_COLUMNS:
        return by_variant
    return {variant_id: clamp_fraction(each) for variant_id, each in by_variant.items()}
