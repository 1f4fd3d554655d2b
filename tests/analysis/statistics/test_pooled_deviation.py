"""Tests of the deviation that the comparisons of a run have in common."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.statistics.pooled_deviation import pooled_deviation

LOGS = st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=8), min_size=1, max_size=5)


def ratios_of(
    logs: list[list[float]],
    baselines: list[str] | None = None,
    sessions: int = 1,
    parts: list[int] | None = None,
) -> pd.DataFrame:
    """The log ratios of each comparison, block by block; sessions take turns."""
    rows = [
        (
            pair,
            (baselines or ["b"] * len(logs))[pair],
            block,
            (parts or [0] * len(logs))[pair],
            block % sessions,
            log,
        )
        for pair, values in enumerate(logs)
        for block, log in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["pair", "baseline_id", "block", "part", "session", "log"])


@given(LOGS)
def test_comparisons_without_a_common_baseline_count_alike(logs: list[list[float]]) -> None:
    pooled = pooled_deviation(ratios_of(logs, [str(i) for i in range(len(logs))]))
    squares = sum(float(np.var(values)) * len(values) for values in logs)
    df = sum(len(values) - 1 for values in logs)
    assert pooled is not None and pooled.df == df
    assert pooled.value == pytest.approx(np.sqrt(squares / df), abs=1e-12)


@given(LOGS, st.floats(-5, 5), st.integers(0, 4))
def test_a_comparison_s_ratio_does_not_matter(
    logs: list[list[float]], shift: float, which: int
) -> None:
    pooled = pooled_deviation(ratios_of(logs))
    logs[which % len(logs)] = [log + shift for log in logs[which % len(logs)]]
    shifted = pooled_deviation(ratios_of(logs))
    assert pooled is not None and shifted is not None
    assert shifted.value == pytest.approx(pooled.value, abs=1e-9)


def test_a_common_baseline_costs_no_degree_of_freedom() -> None:
    arms = np.random.default_rng(5).normal(size=(2000, 6, 5))
    logs = arms[:, :, 1:] - arms[:, :, :1]
    pooled = [pooled_deviation(ratios_of(run.T.tolist())) for run in logs]
    variances = np.array([each.value**2 for each in pooled if each])
    assert {each.df for each in pooled if each} == {20}
    assert variances.mean() == pytest.approx(2.0, rel=0.03)
    assert 2 * variances.mean() ** 2 / variances.var() == pytest.approx(20, rel=0.15)


@given(LOGS, st.data())
def test_parts_with_a_trial_of_one_baseline_each_count_like_two_baselines(
    logs: list[list[float]], data: st.DataObject
) -> None:
    parts = data.draw(st.lists(st.integers(0, 2), min_size=len(logs), max_size=len(logs)))
    in_parts = pooled_deviation(ratios_of(logs, parts=parts))
    apart = pooled_deviation(ratios_of(logs, [str(part) for part in parts]))
    assert in_parts is not None and apart is not None and in_parts.df == apart.df
    assert in_parts.value == pytest.approx(apart.value, abs=1e-9)


def test_each_session_has_its_own_mean() -> None:
    pooled = pooled_deviation(ratios_of([[0.0, 1.0, 0.0, 1.0]], sessions=2))
    assert pooled is not None
    assert (pooled.value, pooled.df) == (0.0, 2)


def test_blocks_of_different_sessions_have_no_deviation() -> None:
    assert pooled_deviation(ratios_of([[0.0, 1.0]], sessions=2)) is None
    assert pooled_deviation(ratios_of([])) is None
