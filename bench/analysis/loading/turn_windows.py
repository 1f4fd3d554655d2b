"""Collect the windows that trials trained in turns, record by record.

Usage:
    collector = TurnWindows()
    collector.add(row, record)                # plain data, as `raw_records` reads it
    block_values(collector.windows(), arm, baseline, epoch_s)
"""

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.analysis.statistics.turn_ratios import Windows


class TurnWindows:
    """The windows of timed epochs; an epoch outside turns adds none."""

    def __init__(self) -> None:
        self._trial, self._round = array("q"), array("q")
        self._seconds, self._examples = array("d"), array("d")

    def add(self, trial: int, record: Mapping[str, Any]) -> None:
        """Add the windows of a record, which is that of the trial with the index ``trial``.

        An epoch of a record that does not say how many steps a window has adds none. TypeError or
        ValueError if the record is damaged.
        """
        for epoch in record["epochs"]:
            rounds = epoch.get("window_round")
            size = record["resolved"].get("window_steps")
            if epoch["warmup"] or rounds is None or size is None:
                continue
            seconds = epoch["window_s"]
            if len(seconds) != len(rounds):
                raise ValueError(f"{len(rounds)} rounds of {len(seconds)} windows")
            batch = epoch["examples"] / epoch["steps"]
            firsts = range(0, size * len(rounds), size)
            self._trial.extend([trial] * len(rounds))
            self._round.extend(rounds)
            self._seconds.extend(seconds)
            self._examples.extend(batch * min(size, epoch["steps"] - first) for first in firsts)

    def windows(self) -> Windows:
        """Return all windows, in the order in which they were added."""
        return Windows(
            trial=np.array(self._trial, dtype=np.int64),
            round=np.array(self._round, dtype=np.int64),
            seconds=np.array(self._seconds, dtype=np.float64),
            examples=np.array(self._examples, dtype=np.float64),
        )
