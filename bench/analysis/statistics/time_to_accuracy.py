"""How long training takes to reach a stated accuracy, where some trials never do.

Usage:
    for variant in times_to_accuracy(trials, epochs, target=0.85):
        variant.seconds.value, variant.reached
    compare_times(trials, epochs, 0.85, variant_id, baseline_id)

Time is that of all epochs up to the end of the first whose validation accuracy is at least the
target, warm-ups included. Not reached is infinity and never left out: medians and
order-statistic intervals need no finite mean (W. J. Conover, Practical Nonparametric
Statistics, 3rd ed. 1999, section 3.2). A trial that diverged did not reach it, whatever its
epochs say; trials that ended otherwise without completing are counted and not used.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.statistics.paired import CONFIDENCE, Ratio, paired_ratio

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    _Array = np.ndarray[Any, np.dtype[np.float64]]

ANSWERS = ("completed", "diverged")
"""Statuses of trials that reached the target or did not."""


@dataclass(frozen=True, slots=True)
class Median:
    """A median, which may be infinite, and its interval, None below six values."""

    value: float
    low: float | None
    high: float | None
    coverage: float | None
    """What the interval attains, 0.95 at least: order statistics have steps."""
    n: int
    reached: int


@dataclass(frozen=True, slots=True)
class Reached:
    """The seconds of training that a variant takes to the target."""

    variant_id: str
    label: str
    target: float
    seconds: Median
    statuses: Mapping[str, int]
    """Trials by status, completed ones too."""


@dataclass(frozen=True, slots=True)
class TimeRatio:
    """The median over blocks of one arm's time to the target over the other's.

    A block in which only one arm reached it has a ratio of 0 or infinity; one in which neither
    did has any ratio, so it stands at 0 for the lower end and at infinity for the upper.
    """

    value: float | None
    """None where it depends on blocks in which neither arm reached the target."""
    low: float | None
    high: float | None
    coverage: float | None
    n: int
    """Blocks in which both arms are known."""
    both: int
    only_a: int
    only_b: int
    neither: int
    parametric: Ratio | None
    """The t interval of the logarithms; None unless both arms reached it in every block."""


def seconds_to(epochs: "pd.DataFrame", target: float) -> "pd.Series[float]":
    """Training time to ``target`` by trial id, in seconds; infinite where it was not reached."""
    import numpy as np

    elapsed = epochs.groupby("trial_id", sort=False)["epoch_s"].cumsum()
    times = elapsed.where(epochs["val_accuracy"] >= target, np.inf)
    return times.groupby(epochs["trial_id"], sort=False).min()


def times_to_accuracy(
    trials: "pd.DataFrame", epochs: "pd.DataFrame", target: float
) -> tuple[Reached, ...]:
    """One for each variant, in planned order; a median of no trials is NaN."""
    timed = with_times(trials, epochs, target)
    return tuple(
        Reached(
            variant_id=str(variant_id),
            label=str(rows["label"].iloc[0]),
            target=target,
            seconds=median_interval(rows["time_s"].dropna().to_numpy()),
            statuses={str(k): int(v) for k, v in rows["status"].value_counts().items()},
        )
        for variant_id, rows in timed.groupby("variant_id", sort=False)
    )


def compare_times(
    trials: "pd.DataFrame", epochs: "pd.DataFrame", target: float, variant_id: str, baseline_id: str
) -> TimeRatio:
    """Times of ``variant_id`` over those of ``baseline_id``, within blocks of one invocation."""
    timed = with_times(trials, epochs, target).dropna(subset=["time_s"])
    arms = (timed[timed["variant_id"] == v] for v in (variant_id, baseline_id))
    keys = ["block", "invocation"]
    if "session" in timed:
        keys.append("session")
    a, b = (arm[[*keys, "time_s"]] for arm in arms)
    both = a.merge(b, on=keys, suffixes=("", "_b"))
    sessions = both["session" if "session" in both else "invocation"]
    return time_ratio(both["time_s"].tolist(), both["time_s_b"].tolist(), sessions.tolist())


def time_ratio(
    a: Sequence[float], b: Sequence[float], sessions: Sequence[int] | None = None
) -> TimeRatio:
    """The ratio of times of the same blocks, in seconds or infinite.

    Where there are several sessions, the interval of order statistics is None: blocks of a
    session are not independent, and the sessions are too few for it.
    """
    import numpy as np

    ours, theirs = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    hit, hit_b = np.isfinite(ours), np.isfinite(theirs)
    known = np.divide(ours, theirs, where=hit | hit_b, out=np.full(len(ours), np.nan))
    lowest = median_interval(np.where(np.isnan(known), 0.0, known))
    highest = median_interval(np.where(np.isnan(known), np.inf, known))
    alone = len(set(sessions or [])) < 2
    return TimeRatio(
        value=lowest.value if lowest.value == highest.value else None,
        low=lowest.low if alone else None,
        high=highest.high if alone else None,
        coverage=lowest.coverage if alone else None,
        n=len(ours),
        both=int((hit & hit_b).sum()),
        only_a=int((hit & ~hit_b).sum()),
        only_b=int((~hit & hit_b).sum()),
        neither=int((~hit & ~hit_b).sum()),
        parametric=paired_ratio(a, b, sessions) if len(ours) and (hit & hit_b).all() else None,
    )


def median_interval(values: "_Array") -> Median:
    """The median of ``values``, some infinite, and the narrowest interval of two of them."""
    import numpy as np
    from scipy import stats

    ordered = np.sort(values)
    n, reached = len(ordered), int(np.isfinite(ordered).sum())
    middle = float((ordered[(n - 1) // 2] + ordered[n // 2]) / 2) if n else math.nan
    # Ends are the k-th from below and from above; the median is outside with 2 P(Bin <= k - 1).
    k = int(stats.binom.ppf((1 - CONFIDENCE) / 2, n, 0.5)) if n else 0
    while k and 2 * stats.binom.cdf(k - 1, n, 0.5) > 1 - CONFIDENCE:
        k -= 1
    if not k:
        return Median(middle, None, None, None, n, reached)
    attained = float(1 - 2 * stats.binom.cdf(k - 1, n, 0.5))
    return Median(middle, float(ordered[k - 1]), float(ordered[n - k]), attained, n, reached)


def with_times(trials: "pd.DataFrame", epochs: "pd.DataFrame", target: float) -> "pd.DataFrame":
    """``trials`` with ``time_s``: infinite where not reached, NaN where the trial is no answer."""
    import numpy as np

    times = trials["trial_id"].map(seconds_to(epochs, target)).astype(float)
    never = times.isna() | (trials["status"] == "diverged")
    times = times.mask(never, np.inf)
    return trials.assign(time_s=times.where(trials["status"].isin(ANSWERS)))
