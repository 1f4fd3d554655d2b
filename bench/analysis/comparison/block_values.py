"""Give each pair of trials of a block its value: the log of the ratio of their epoch times.

Usage:
    used = both.assign(**block_logs(both, turns))        # columns log and rounds
"""

from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.statistics.turn_ratios import Windows, block_values


def block_logs(both: pd.DataFrame, turns: Windows | None) -> dict[str, Any]:
    """Return the log ratio of each row of ``both``, and the number of rounds behind it.

    The columns of a trial are row, epoch_s and examples; those of its baseline end in ``_b``.
    ``turns`` has the windows of trials that took turns, by row. The ratio is the median over rounds
    (``turn_ratios``), or that of the median epochs of trials that took no turns; then rounds is 0.
    A trial that was tried again alone took no turns: with an arm that did, its log is NaN.
    """
    log_epochs = np.log(both["epoch_s"] / both["epoch_s_b"])
    if turns is None or not len(both):
        return {"log": log_epochs, "rounds": 0}
    rows, baselines = both["row"].to_numpy(np.int64), both["row_b"].to_numpy(np.int64)
    epoch_s = np.full(max(rows.max(), baselines.max()) + 1, np.nan)
    epoch_s[rows], epoch_s[baselines] = both["epoch_s"], both["epoch_s_b"]
    values = block_values(turns, rows, baselines, epoch_s)
    # Turns give times per example, but a ratio is that of whole epochs.
    of_examples = np.log(both["examples"] / both.get("examples_b", both["examples"]))
    logs = values.log_ratio + np.where(values.rounds > 0, of_examples, 0.0)
    alike = np.isin(rows, turns.trial) == np.isin(baselines, turns.trial)
    return {"log": np.where(alike, logs, np.nan), "rounds": values.rounds}
