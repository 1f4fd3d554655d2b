"""Cut rows of numbers into segments of constant level, by penalised least squares.

Usage:
    noise = noise_of(logs)                                # one trial per row, one epoch per column
    level = segment_means(without_spikes(logs, noise), noise)    # the level of each epoch's segment

A new segment must explain more than its penalty. The partition is optimal, found for all rows at
once: B. Jackson et al., An algorithm for optimal partitioning of data on an interval, IEEE Signal
Processing Letters 12, 2005. The time grows with the square of the number of possible segment
starts. In a long row the starts are limited to a grid, so the time grows linearly with its length:
on a row with one level, PELT (R. Killick et al., JASA 107, 2012) would examine as many starts as
without a grid.
"""

from typing import Any

import numpy as np

_Array = np.ndarray[Any, np.dtype[Any]]

TOLERANCE = 0.01
"""Levels (logarithms) closer than this count as one level."""
_PENALTY = 5.0
"""What a segment must explain, in units of the noise variance times log n: its mean and its start
are two parameters; the rest allows for a noise estimate from few epochs."""
_MIN_EPOCHS = 2
"""Length of the shortest segment."""
_MIN_NOISE = 0.001
_MAX_STARTS = 2_000
"""Number of possible segment starts in a row; a longer row has one at every n-th epoch."""


def noise_of(logs: _Array) -> _Array:
    """Estimate the standard deviation of each row's noise; changes of level hardly affect it.

    From second differences, x[t-1] - 2 x[t] + x[t+1]: their variance is six times that of the
    noise, and a linear trend cancels in them. The median of their absolute values is 0.6745 of
    their standard deviation.
    """
    sizes = np.abs(np.diff(logs, n=2, axis=1))
    spread: _Array = np.median(sizes, axis=1) / (0.6745 * np.sqrt(6))
    return np.maximum(spread, _MIN_NOISE)


def without_spikes(logs: _Array, noise: _Array) -> _Array:
    """Replace single spikes by the mean of their neighbours.

    A spike lies on the same side of both neighbours, more than four deviations from each.
    """
    before, here, after = logs[:, :-2], logs[:, 1:-1], logs[:, 2:]
    limit = np.maximum(4 * noise, TOLERANCE)[:, None]
    is_spike = np.minimum(here - before, here - after) > limit
    is_spike |= np.minimum(before - here, after - here) > limit
    smoothed = logs.copy()
    smoothed[:, 1:-1][is_spike] = ((before + after) / 2)[is_spike]
    return smoothed


def segment_means(logs: _Array, noise: _Array) -> _Array:
    """Return the mean of the segment that each value belongs to, in the shape of ``logs``."""
    rows, n = logs.shape
    edges = _segment_edges(n)
    sums, squares = _running_sums(logs)[:, edges], _running_sums(logs**2)[:, edges]
    penalty = _PENALTY * np.log(n) * noise**2
    best = np.full((rows, len(edges)), np.inf)
    best[:, 0] = -penalty
    best_start = np.zeros((rows, len(edges)), dtype=int)
    for end in range(1, len(edges)):
        starts = np.flatnonzero(edges[end] - edges[:end] >= _MIN_EPOCHS)
        if not len(starts):
            continue
        total = sums[:, end, None] - sums[:, starts]
        cost = squares[:, end, None] - squares[:, starts]
        cost -= total**2 / (edges[end] - edges[starts])
        cost += best[:, starts] + penalty[:, None]
        best_start[:, end] = np.argmin(cost, axis=1)
        best[:, end] = np.take_along_axis(cost, best_start[:, end, None], axis=1)[:, 0]
    return np.repeat(_trace_back(best_start, sums, edges), np.diff(edges), axis=1)


def _segment_edges(n: int) -> _Array:
    """Return where a segment may start in a row of ``n`` values, and the end of the row."""
    step = -(-n // _MAX_STARTS)
    return np.append(np.arange(0, n, step), n)


def fits_line_better(
    logs: _Array, level: _Array, warmup: _Array, noise: _Array
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return whether a line fits a row's timed epochs at lower cost than segments, and has a slope.

    A line has one parameter more than a single segment; each further segment has two. A line has a
    slope if its ends are more than ``TOLERANCE`` apart.
    """
    n = logs.shape[1]
    position = np.arange(n, dtype=float)
    weight = (position >= warmup[:, None]).astype(float)
    n_timed = weight.sum(axis=1, keepdims=True)
    x = (position - (weight * position).sum(axis=1, keepdims=True) / n_timed) * weight
    y = (logs - (weight * logs).sum(axis=1, keepdims=True) / n_timed) * weight
    slope = (x * y).sum(axis=1) / np.maximum((x * x).sum(axis=1), 1)
    line_cost = ((y - slope[:, None] * x) ** 2).sum(axis=1)
    level_cost = (weight * (logs - level) ** 2).sum(axis=1)
    changes = (np.abs(np.diff(level, axis=1)) * weight[:, 1:] * weight[:, :-1] > 0).sum(axis=1)
    parameter_cost = _PENALTY * np.log(n) * noise**2
    climbs = np.abs(slope) * (n_timed[:, 0] - 1) > TOLERANCE
    is_cheaper = line_cost + parameter_cost < level_cost + changes * parameter_cost
    # A line and one change of level have equally many parameters: the better fit wins.
    tied = (changes == 1) & (line_cost < level_cost)
    fits: np.ndarray[Any, np.dtype[np.bool_]] = climbs & (is_cheaper | tied)
    return fits


def _running_sums(values: _Array) -> _Array:
    return np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0)))


def _trace_back(best_start: _Array, sums: _Array, edges: _Array) -> _Array:
    """Return the level from each edge to the next, following the best starts from the end."""
    rows, n = len(best_start), best_start.shape[1] - 1
    row = np.arange(rows)
    start, end = best_start[:, n].copy(), np.full(rows, n)
    level = np.empty((rows, n))
    for position in range(n - 1, -1, -1):
        passed = position < start
        end = np.where(passed, start, end)
        start = np.where(passed, best_start[row, end], start)
        level[:, position] = (sums[row, end] - sums[row, start]) / (edges[end] - edges[start])
    return level
