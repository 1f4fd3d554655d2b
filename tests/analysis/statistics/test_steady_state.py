"""Tests of the verdicts on series of known shape; a flat series is rarely called anything else."""

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest

from bench.analysis.statistics.change_points import noise_of, segment_means
from bench.analysis.statistics.steady_state import UNSTEADY_VERDICTS, steady_verdicts

NOISE = 0.005
Floats = np.ndarray[Any, np.dtype[np.float64]]


def verdicts(*groups: Floats, warmup: int = 1, steps: int = 100) -> list[str]:
    """Return the verdict on each trial, a row of log epoch times in one of ``groups``."""
    rows = [row for logs in groups for row in logs]
    counts = np.array([len(row) for row in rows])
    seconds = np.exp(np.concatenate(rows))
    warm = np.full(len(rows), warmup)
    result: list[str] = steady_verdicts(counts, seconds, counts * steps, warm).tolist()
    return result


def noisy(shape: Floats, trials: int = 400) -> Floats:
    rng = np.random.default_rng(11)
    return shape + rng.normal(0, NOISE, (trials, len(shape)))


def shares(logs: Floats) -> dict[str, float]:
    return {name: n / len(logs) for name, n in Counter(verdicts(logs)).items()}


@pytest.mark.parametrize("n", [10, 20, 50])
def test_pure_noise_is_flat(n: int) -> None:
    result = shares(noisy(np.zeros(n)))
    assert result.get("flat", 0) > 0.95
    assert sum(result.get(v, 0) for v in UNSTEADY_VERDICTS) < 0.02


@pytest.mark.parametrize("n", [10, 20, 50])
def test_single_spikes_have_no_effect(n: int) -> None:
    logs = noisy(np.zeros(n))
    logs[np.arange(400), np.random.default_rng(2).integers(2, n - 1, 400)] += 0.1
    assert shares(logs).get("flat", 0) > 0.94


@pytest.mark.parametrize("n", [10, 20, 50])
def test_slow_first_epochs_are_warm_up(n: int) -> None:
    shape = np.zeros(n)
    shape[:2] = 0.3
    assert shares(noisy(shape)).get("warm_up", 0) > 0.95


@pytest.mark.parametrize("n", [10, 20, 50])
def test_steady_climb_is_drifting(n: int) -> None:
    assert shares(noisy(np.linspace(0, 0.2, n))).get("drifting", 0) > 0.95


def test_alternating_levels_are_unsettled() -> None:
    shape = np.array([0.0] * 6 + [0.2] * 6 + [0.0] * 6 + [0.2] * 6)
    result = shares(noisy(shape))
    assert result.get("unsettled", 0) > 0.95


def test_levels_within_the_tolerance_are_one_level() -> None:
    shape = np.array([0.0] * 15 + [0.008] * 15)
    logs = shape + np.random.default_rng(1).normal(0, 0.0005, (100, 30))
    assert set(verdicts(logs)) == {"flat"}


def test_short_trials_are_unclassified() -> None:
    assert verdicts(noisy(np.zeros(9), 2)) == ["unclassified"] * 2
    assert verdicts(noisy(np.zeros(10), 2), steps=19) == ["unclassified"] * 2


def test_verdict_does_not_depend_on_the_length_of_an_epoch() -> None:
    logs = np.concatenate([noisy(np.zeros(12), 50), noisy(np.linspace(0, 0.1, 12), 50)])
    assert verdicts(logs) == verdicts(logs + 5)


def test_segments_are_the_best_of_all_partitions() -> None:
    logs = np.random.default_rng(4).normal(0, 1, (20, 7)) + (np.arange(7) > 3) * 4
    noise = np.full(20, 0.6)
    penalty = 5.0 * np.log(7) * 0.36
    for row, result in zip(logs, segment_means(logs, noise), strict=True):
        costs = []
        for mask in range(2**6):
            cuts = [0, *(i + 1 for i in range(6) if mask >> i & 1), 7]
            parts = [row[a:b] for a, b in itertools.pairwise(cuts)]
            if min(map(len, parts)) >= 2:
                squares = sum(((p - p.mean()) ** 2).sum() for p in parts)
                costs.append(squares + penalty * (len(parts) - 1))
        changes = int((np.diff(result) != 0).sum())
        assert ((row - result) ** 2).sum() + penalty * changes == pytest.approx(min(costs))


def test_trials_of_different_lengths_are_classified_together() -> None:
    flat, short = noisy(np.zeros(20), 1), noisy(np.zeros(3), 1)
    drifting, empty = noisy(np.linspace(0, 0.5, 12), 1), np.empty((1, 0))
    expected = ["drifting", "unclassified", "flat", "unclassified"]
    assert verdicts(drifting, empty, flat, short) == expected


def test_work_grows_linearly_with_the_length_of_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is the number of partition costs that are evaluated."""
    evaluated = 0
    real = np.argmin

    def count_costs(costs: Floats, axis: int) -> Any:
        nonlocal evaluated
        evaluated += costs.size
        return real(costs, axis=axis)

    monkeypatch.setattr(np, "argmin", count_costs)
    work = []
    for n in (3_000, 30_000):
        evaluated = 0
        row = noisy(np.zeros(n), trials=1)
        segment_means(row, noise_of(row))
        work.append(evaluated)
    assert work[1] <= 10 * work[0]


@pytest.mark.parametrize("n", [2_001, 10_000, 100_000])
def test_change_point_of_a_long_row_is_located(n: int) -> None:
    shape = np.where(np.arange(n) < n // 3, 0.1, 0.0)
    row = noisy(shape, trials=1)
    result = segment_means(row, noise_of(row))[0]
    far = np.abs(result - shape) > NOISE
    assert far.mean() < 0.001
    assert verdicts(row) == ["warm_up"]
