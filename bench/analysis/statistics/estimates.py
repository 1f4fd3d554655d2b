"""The mean of a column for each variant, with the interval that suits what the column holds.

Usage:
    estimates(done, "epoch_s")["3fa9..."]       # Estimate(value=0.71, low=0.69, high=0.73, n=3)

``done`` has a row for each completed trial, with its variant, session and measures.
"""

from typing import TYPE_CHECKING

from bench.analysis.comparison.compare import moments, units
from bench.analysis.statistics.paired import Estimate, estimate, geometric_estimate, part_of_one

if TYPE_CHECKING:
    import pandas as pd

OF_TIME = frozenset(
    {"epoch_s", "examples_per_s", "cold_start_s", "time_to_accuracy_s"}
    | {"time_to_accuracy_with_cold_start_s"}
    | {"energy_j", "mean_power_w", "mfu"}
)
"""What is above 0 and depends on a session's conditions: means of logarithms, one a session."""
PARTS_OF_ONE = frozenset(
    {"val_accuracy", "test_accuracy", "clipped_share", "skipped_share", "input_wait_share", "mfu"}
)
"""What lies between 0 and 1, as do the intervals of its means."""
OF_SIZE = frozenset({"peak_rss_bytes", "peak_device_memory_bytes"})
"""What is above 0: means of logarithms, every trial counts."""


def estimates(done: "pd.DataFrame", name: str) -> dict[str, Estimate]:
    """By variant id; a variant without a value is not in it."""
    import numpy as np
    import pandas as pd

    of_moments = geometric_estimate if name in OF_TIME | OF_SIZE else estimate
    values = done[name].to_numpy(dtype=float, na_value=np.nan)
    if of_moments is geometric_estimate:
        values = np.log(values, where=values > 0, out=np.full(len(values), np.nan))
    known = ~np.isnan(values)
    if not known.any():
        return {}
    columns = {"variant_id": done["variant_id"], "session": done["session"], name: values}
    frame = pd.DataFrame(columns)[known]
    found = moments(
        units(frame, "variant_id", name) if name in OF_TIME else frame, "variant_id", name
    )
    made = {
        variant_id: of_moments(int(n), float(mean), float(deviation))
        for variant_id, n, mean, deviation in found.itertuples()
    }
    return {v: part_of_one(e) for v, e in made.items()} if name in PARTS_OF_ONE else made
