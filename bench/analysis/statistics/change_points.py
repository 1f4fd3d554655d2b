"""Rows of numbers cut into levels, where a new level explains more than it costs.

Usage:
    noise = noise_of(logs)                                # one trial a row, one epoch a column
    level = segment_means(without_spikes(logs, noise), noise)    # the level that each epoch is on

Least squares with a penalty for each level, solved exactly and for all rows at once: B. Jackson
et al., An algorithm for optimal partitioning of data on an interval, IEEE Signal Processing
Letters 12, 2005. That takes time with the square of the places at which a level may begin. On a
long row these are a grid, so that its time grows with its length: on one level PELT (R. Killick et
al., JASA 107, 2012) would look at as many as without a grid.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    _Array = np.ndarray[Any, np.dtype[Any]]

TOLERANCE = 0.01
"""Logarithms closer than this are one level."""
_PENALTY = 5.0
"""Variances of the noise, times log n, that a level must explain: its mean and its place are
two parameters, the rest allows for noise that is itself estimated from few epochs."""
_LEAST = 2
"""Epochs of the shortest level."""
_LEAST_NOISE = 0.001
_MOST_PLACES = 2_000
"""At which a level may begin: of a row of more epochs at every second or third ... one."""


def noise_of(logs: "_Array") -> "_Array":
    """The standard deviation of each row's noise, which changes of level hardly move.

    From second differences, x[t-1] - 2 x[t] + x[t+1], whose variance is six times the noise's
    and which a line leaves alone; their median size is 0.6745 of their deviation.
    """
    import numpy as np

    sizes = np.abs(np.diff(logs, n=2, axis=1))
    spread: _Array = np.median(sizes, axis=1) / (0.6745 * np.sqrt(6))
    return np.maximum(spread, _LEAST_NOISE)


def without_spikes(logs: "_Array", noise: "_Array") -> "_Array":
    """Each value further than four deviations from both neighbours, on one side, is their mean."""
    import numpy as np

    before, here, after = logs[:, :-2], logs[:, 1:-1], logs[:, 2:]
    limit = np.maximum(4 * noise, TOLERANCE)[:, None]
    alone = np.minimum(here - before, here - after) > limit
    alone |= np.minimum(before - here, after - here) > limit
    kept = logs.copy()
    kept[:, 1:-1][alone] = ((before + after) / 2)[alone]
    return kept


def segment_means(logs: "_Array", noise: "_Array") -> "_Array":
    """The mean of the level that each value is on; of the shape of ``logs``."""
    import numpy as np

    rows, n = logs.shape
    places = _places(n)
    sums, squares = _running(logs)[:, places], _running(logs**2)[:, places]
    penalty = _PENALTY * np.log(n) * noise**2
    best = np.full((rows, len(places)), np.inf)
    best[:, 0] = -penalty
    begin = np.zeros((rows, len(places)), dtype=int)
    for end in range(1, len(places)):
        starts = np.flatnonzero(places[end] - places[:end] >= _LEAST)
        if not len(starts):
            continue
        total = sums[:, end, None] - sums[:, starts]
        cost = squares[:, end, None] - squares[:, starts]
        cost -= total**2 / (places[end] - places[starts])
        cost += best[:, starts] + penalty[:, None]
        begin[:, end] = np.argmin(cost, axis=1)
        best[:, end] = np.take_along_axis(cost, begin[:, end, None], axis=1)[:, 0]
    return np.repeat(_traced(begin, sums, places), np.diff(places), axis=1)


def _places(n: int) -> "_Array":
    """Where in a row of ``n`` values a level may begin, and its end."""
    import numpy as np

    step = -(-n // _MOST_PLACES)
    return np.append(np.arange(0, n, step), n)


def fits_line_better(
    logs: "_Array", level: "_Array", warm: "_Array", noise: "_Array"
) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Whether a line through a row's counted values costs less than its levels, and climbs.

    A line has one parameter more than a single level, a level two. It climbs where its ends
    are more than ``TOLERANCE`` apart.
    """
    import numpy as np

    n = logs.shape[1]
    at = np.arange(n, dtype=float)
    weight = (at >= warm[:, None]).astype(float)
    counted = weight.sum(axis=1, keepdims=True)
    x = (at - (weight * at).sum(axis=1, keepdims=True) / counted) * weight
    y = (logs - (weight * logs).sum(axis=1, keepdims=True) / counted) * weight
    slope = (x * y).sum(axis=1) / np.maximum((x * x).sum(axis=1), 1)
    of_line = ((y - slope[:, None] * x) ** 2).sum(axis=1)
    of_levels = (weight * (logs - level) ** 2).sum(axis=1)
    changes = (np.abs(np.diff(level, axis=1)) * weight[:, 1:] * weight[:, :-1] > 0).sum(axis=1)
    unit = _PENALTY * np.log(n) * noise**2
    climbs = np.abs(slope) * (counted[:, 0] - 1) > TOLERANCE
    more = of_line + unit < of_levels + changes * unit
    # As many parameters as one change of level: then the better fit has it.
    tied = (changes == 1) & (of_line < of_levels)
    drifts: np.ndarray[Any, np.dtype[np.bool_]] = climbs & (more | tied)
    return drifts


def _running(values: "_Array") -> "_Array":
    import numpy as np

    return np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0)))


def _traced(begin: "_Array", sums: "_Array", places: "_Array") -> "_Array":
    """The level from each place to the next, found from the last backwards."""
    import numpy as np

    rows, n = len(begin), begin.shape[1] - 1
    row = np.arange(rows)
    start, end = begin[:, n].copy(), np.full(rows, n)
    level = np.empty((rows, n))
    for at in range(n - 1, -1, -1):
        passed = at < start
        end = np.where(passed, start, end)
        start = np.where(passed, begin[row, end], start)
        level[:, at] = (sums[row, end] - sums[row, start]) / (places[end] - places[start])
    return level
