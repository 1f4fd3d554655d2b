"""Reduce a block to one value for each comparison: the median over rounds of the arms' log ratio.

Usage:
    windows = Windows(trial=[0, 0, 1, 1], round=[4, 4, 4, 4], seconds=..., examples=...)
    values = block_values(windows, arm=[1], baseline=[0], epoch_s=[0.81, 0.75])
    values.log_ratio, values.rounds                     # one per pair of trials

In a round each arm takes one turn, so that both times of a ratio see the same state of the
machine. A state that changes within a round spoils that round only, and the median ignores it. On
shared machines this needs a small part of the blocks that ratios of whole epochs need (duet
benchmarking: Bulej et al., ICPE 2020, doi:10.1145/3358960.3379132, pairs simultaneous runs).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]

NO_ROUND = -1


@dataclass(frozen=True)
class Windows:
    """The windows of timed epochs: trial after trial, each in the order in which it trained."""

    trial: Indices
    """The index of the trial."""
    round: Indices
    """The round, which counts through the block; ``NO_ROUND`` outside turns."""
    seconds: Floats
    examples: Floats

    def renumbered(self, new_trial: Indices) -> "Windows":
        """Return the windows with trial i as ``new_trial[i]``, without those of a negative one."""
        trial = new_trial[self.trial]
        kept = trial >= 0
        return Windows(trial[kept], self.round[kept], self.seconds[kept], self.examples[kept])


@dataclass(frozen=True)
class BlockValues:
    """The value of each pair of trials of a block."""

    log_ratio: Floats
    """Log of the arm's seconds per example over the baseline's; NaN if it could not be timed."""
    rounds: Indices
    """The number of rounds behind it; 0 where it is the ratio of the median epochs."""


@dataclass(frozen=True)
class _Turns:
    """One row a turn, sorted by trial and round."""

    trial: Indices
    round: Indices
    log_cost: Floats
    """Log of seconds per example, over all windows."""
    log_later_cost: Floats
    """The same without the first window; NaN for a turn of one window."""


def block_values(
    windows: Windows, arm: npt.ArrayLike, baseline: npt.ArrayLike, epoch_s: npt.ArrayLike
) -> BlockValues:
    """Return the value of each pair of trials ``arm[i]``, ``baseline[i]`` of one block.

    ``epoch_s`` has the median epoch of each trial. Its ratio is the value of a pair without a
    common round: records from before turns, and blocks whose trials ran one after another.
    """
    arms, baselines = np.asarray(arm, dtype=np.int64), np.asarray(baseline, dtype=np.int64)
    log_epoch_s = np.log(np.asarray(epoch_s, dtype=np.float64))
    pair, log_ratio = _round_ratios(_turns(windows), arms, baselines)
    medians = _medians(pair, log_ratio, len(arms))
    rounds = np.bincount(pair, minlength=len(arms)).astype(np.int64)
    of_epochs = log_epoch_s[arms] - log_epoch_s[baselines]
    return BlockValues(log_ratio=np.where(rounds > 0, medians, of_epochs), rounds=rounds)


def _turns(windows: Windows) -> _Turns:
    """Sum the windows of each turn: all of them, and those after the first."""
    in_turn = windows.round != NO_ROUND
    trial, number = windows.trial[in_turn], windows.round[in_turn]
    new = np.ones(len(trial), dtype=bool)
    new[1:] = (trial[1:] != trial[:-1]) | (number[1:] != number[:-1])
    starts = np.flatnonzero(new)
    seconds, examples = windows.seconds[in_turn], windows.examples[in_turn]
    trial, number = trial[starts], number[starts]
    order = np.lexsort((number, trial))
    log_cost, log_later_cost = (
        _log_costs(np.where(counted, seconds, 0.0), np.where(counted, examples, 0.0), starts)[order]
        for counted in (True, ~new)
    )
    return _Turns(trial[order], number[order], log_cost, log_later_cost)


def _log_costs(seconds: Floats, examples: Floats, starts: Indices) -> Floats:
    """Return the log of the seconds per example of each turn; NaN for one without examples."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(np.add.reduceat(seconds, starts) / np.add.reduceat(examples, starts))


def _round_ratios(turns: _Turns, arm: Indices, baseline: Indices) -> tuple[Indices, Floats]:
    """Return the pair and the log ratio of each round that both trials of a pair have timed.

    After a change of hands the first window refills caches and wakes threads. It counts in neither
    turn if both have others, and in both turns if one has only this window: otherwise the change
    would be in the cost of one arm alone.
    """
    first = np.searchsorted(turns.trial, arm, side="left")
    counts = np.searchsorted(turns.trial, arm, side="right") - first
    pair = np.repeat(np.arange(len(arm)), counts)
    offsets = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = np.repeat(first, counts) + offsets
    stride = int(turns.round.max(initial=0)) + 1
    keys = turns.trial * stride + turns.round
    wanted = baseline[pair] * stride + turns.round[rows]
    found = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    both = keys[found] == wanted
    arm_turn, baseline_turn = rows[both], found[both]
    log_ratio = turns.log_later_cost[arm_turn] - turns.log_later_cost[baseline_turn]
    with_first = turns.log_cost[arm_turn] - turns.log_cost[baseline_turn]
    log_ratio = np.where(np.isnan(log_ratio), with_first, log_ratio)
    finite = np.isfinite(log_ratio)
    return pair[both][finite], log_ratio[finite]


def _medians(group: Indices, values: Floats, groups: int) -> Floats:
    """Return the median of the values of each group, NaN for a group without any."""
    values = values[np.lexsort((values, group))]
    counts = np.bincount(group, minlength=groups)
    first = np.cumsum(counts) - counts
    medians = np.full(groups, np.nan)
    some = counts > 0
    low, high = first + (counts - 1) // 2, first + counts // 2
    medians[some] = (values[low[some]] + values[high[some]]) / 2
    return medians
