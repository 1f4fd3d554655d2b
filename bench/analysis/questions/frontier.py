"""Find the variants that no other beats in both time and accuracy.

Usage:
    best = [c for c in frontier(load_trials(run)) if c.on_frontier]

A variant is on the frontier of its data set if no other is at least as accurate in less time, or
more accurate in the same time: V. Pareto's optimum, of the estimates. In small runs intervals
overlap, so ``clearly_dominated`` tells whether the intervals, too, are apart.
"""

import bisect
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.loading.trial_filters import has_meaningful_accuracy
from bench.analysis.statistics.intervals import Estimate
from bench.analysis.statistics.session_units import ensure_sessions
from bench.analysis.statistics.variant_averages import estimates


@dataclass(frozen=True, slots=True)
class Candidate:
    """A variant with its time and accuracy, over its completed trials."""

    variant_id: str
    label: str
    dataset: str
    seconds: Estimate
    """Geometric mean."""
    accuracy: Estimate
    on_frontier: bool
    dominated_by: str | None
    """The most accurate of the variants that beat it; None on the frontier."""
    clearly_dominated: bool
    """Beaten by a variant whose two intervals do not overlap its own."""
    statuses: Mapping[str, int]
    """Trials that did not complete."""


def frontier(trials: pd.DataFrame) -> tuple[Candidate, ...]:
    """Return all variants whose accuracy is meaningful, by data set and then by time.

    Synthetic data and replicas that did not communicate are left out: their accuracy means nothing.
    So are variants without a time or an accuracy.
    """
    candidates: list[Candidate] = []
    rows = trials[has_meaningful_accuracy(trials)]
    for _, dataset_rows in rows.groupby("dataset", sort=False):
        candidates += _ranked(_candidates(dataset_rows))
    return tuple(candidates)


def _candidates(trials: pd.DataFrame) -> list[Candidate]:
    completed = trials[trials["status"] == "completed"]
    # The time of a whole training is averaged in the way of epoch times.
    timed = ensure_sessions(completed).assign(epoch_s=completed["train_s"])
    seconds, accuracies = estimates(timed, "epoch_s"), estimates(timed, "test_accuracy")
    failed = trials[trials["status"] != "completed"]
    statuses = failed.groupby(["variant_id", "status"]).size()
    by_variant: dict[str, dict[str, int]] = {}
    for (variant_id, status), n in zip(statuses.index.tolist(), statuses.tolist(), strict=True):
        by_variant.setdefault(str(variant_id), {})[str(status)] = int(n)
    first_rows = trials.drop_duplicates("variant_id")
    return [
        Candidate(
            v, label, dataset, seconds[v], accuracies[v], True, None, False, by_variant.get(v, {})
        )
        for v, label, dataset in first_rows[["variant_id", "label", "dataset"]].itertuples(
            index=False
        )
        if v in seconds and v in accuracies and np.isfinite(seconds[v].value)
    ]


def _ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Sort by time; a later candidate is on the frontier only if it is the most accurate so far."""
    ordered = sorted(candidates, key=lambda c: (c.seconds.value, -c.accuracy.value))
    clearly = clearly_dominated([(c.seconds, c.accuracy) for c in ordered])
    ranked: list[Candidate] = []
    best: Candidate | None = None
    for candidate, is_clear in zip(ordered, clearly, strict=True):
        is_dominated = best is not None and not _is_undominated(candidate, best)
        ranked.append(
            dataclasses.replace(
                candidate,
                on_frontier=not is_dominated,
                dominated_by=best.variant_id if is_dominated and best is not None else None,
                clearly_dominated=is_clear,
            )
        )
        best = candidate if best is None or candidate.accuracy.value > best.accuracy.value else best
    return ranked


def _is_undominated(candidate: Candidate, best: Candidate) -> bool:
    same = (candidate.seconds.value, candidate.accuracy.value) == (
        best.seconds.value,
        best.accuracy.value,
    )
    return same or candidate.accuracy.value > best.accuracy.value


def clearly_dominated(estimates: Sequence[tuple[Estimate, Estimate]]) -> list[bool]:
    """Return for each pair of time and accuracy whether another is certainly better in both.

    That is the case if neither interval overlaps: the other's slowest time is below its fastest,
    and the other's least accuracy above its greatest. A pair without an interval beats none and is
    beaten by none.
    """
    winners = sorted(
        (time.high, accuracy.low)
        for time, accuracy in estimates
        if time.high is not None and accuracy.low is not None
    )
    slowest = [high for high, _ in winners]
    # Highest lower end of accuracy among the first n winners.
    least_accuracy = list(itertools.accumulate((low for _, low in winners), max))

    def is_dominated(time: Estimate, accuracy: Estimate) -> bool:
        if time.low is None or accuracy.high is None:
            return False
        quicker = bisect.bisect_left(slowest, time.low)
        return quicker > 0 and least_accuracy[quicker - 1] > accuracy.high

    return list(itertools.starmap(is_dominated, estimates))
