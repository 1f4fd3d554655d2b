"""What time buys in accuracy: the variants that no other beats in both.

Usage:
    best = [c for c in frontier(load_trials(run)) if c.on_frontier]

A variant is on the frontier of its data set where no other is at least as accurate in less
time, or more accurate in the same: V. Pareto's optimum, of the estimates. Intervals overlap
where a run is small, so ``clearly`` says whether they, too, lie apart.
"""

import bisect
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis.statistics.estimates import estimates
from bench.analysis.statistics.paired import Estimate
from bench.analysis.statistics.steady_state import EXCLUDED

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Candidate:
    """A variant by its time and its accuracy, over the trials that completed and settled."""

    variant_id: str
    label: str
    dataset: str
    seconds: Estimate
    """Geometric mean."""
    accuracy: Estimate
    on_frontier: bool
    dominated_by: str | None
    """The most accurate of the variants that beat it; None on the frontier."""
    clearly: bool
    """Beaten by some variant of which neither interval overlaps its own."""
    statuses: Mapping[str, int]
    """Trials that did not complete."""


def frontier(
    trials: "pd.DataFrame", time: str = "train_s", accuracy: str = "test_accuracy"
) -> tuple[Candidate, ...]:
    """All variants whose accuracy means something, by data set and then by time.

    Synthetic data and replicas that did not communicate are left out: what they learn means
    nothing. So is a variant without a time or an accuracy.
    """
    found: list[Candidate] = []
    silent = (trials["communication"] == "none") & (trials["workers"] * trials["replicas"] > 1)
    rows = trials[(trials["dataset"] != "synthetic") & ~silent]
    for _, at in rows.groupby("dataset", sort=False):
        found += _ranked(_candidates(at, time, accuracy))
    return tuple(found)


def _candidates(trials: "pd.DataFrame", time: str, accuracy: str) -> list[Candidate]:
    import numpy as np

    done = trials[(trials["status"] == "completed") & ~trials["steady"].isin(EXCLUDED)]
    sessions = done["session"] if "session" in done else done["invocation"]
    timed = done.assign(session=sessions, epoch_s=done[time])  # estimated as times are
    seconds, accuracies = estimates(timed, "epoch_s"), estimates(timed, accuracy)
    failed = trials[trials["status"] != "completed"]
    statuses = failed.groupby(["variant_id", "status"]).size()
    by_variant: dict[str, dict[str, int]] = {}
    for (variant_id, status), n in zip(statuses.index.tolist(), statuses.tolist(), strict=True):
        by_variant.setdefault(str(variant_id), {})[str(status)] = int(n)
    firsts = trials.drop_duplicates("variant_id")
    return [
        Candidate(
            v, label, dataset, seconds[v], accuracies[v], True, None, False, by_variant.get(v, {})
        )
        for v, label, dataset in firsts[["variant_id", "label", "dataset"]].itertuples(index=False)
        if v in seconds and v in accuracies and np.isfinite(seconds[v].value)
    ]


def _ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    """By time; whoever comes later must be more accurate than all before to be undominated."""
    ordered = sorted(candidates, key=lambda c: (c.seconds.value, -c.accuracy.value))
    clearly = clearly_beaten([(c.seconds, c.accuracy) for c in ordered])
    ranked: list[Candidate] = []
    best: Candidate | None = None
    for each, is_clear in zip(ordered, clearly, strict=True):
        beaten = best is not None and not _better(each, best)
        ranked.append(
            dataclasses.replace(
                each,
                on_frontier=not beaten,
                dominated_by=best.variant_id if beaten and best is not None else None,
                clearly=is_clear,
            )
        )
        best = each if best is None or each.accuracy.value > best.accuracy.value else best
    return ranked


def _better(each: Candidate, best: Candidate) -> bool:
    same = (each.seconds.value, each.accuracy.value) == (best.seconds.value, best.accuracy.value)
    return same or each.accuracy.value > best.accuracy.value


def clearly_beaten(estimates: Sequence[tuple[Estimate, Estimate]]) -> list[bool]:
    """Of pairs of time and accuracy, whether another is quicker and more accurate for certain.

    That is where neither interval overlaps: the other's slowest is below its quickest, the
    other's least above its most. One without an interval beats none and is beaten by none.
    """
    winners = sorted(
        (time.high, accuracy.low)
        for time, accuracy in estimates
        if time.high is not None and accuracy.low is not None
    )
    slowest = [high for high, _ in winners]
    # The most that the first so many winners are accurate at least.
    least = list(itertools.accumulate((low for _, low in winners), max))

    def is_beaten(time: Estimate, accuracy: Estimate) -> bool:
        if time.low is None or accuracy.high is None:
            return False
        quicker = bisect.bisect_left(slowest, time.low)
        return quicker > 0 and least[quicker - 1] > accuracy.high

    return list(itertools.starmap(is_beaten, estimates))
