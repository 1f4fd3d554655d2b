"""Tests of what used the cores: seconds summed over trials, and nothing that was not measured."""

import numpy as np
import pandas as pd
import pytest

from bench.analysis.questions.core_use import CORE_COLUMNS, core_use


def trials(**columns: list[float]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    return pd.DataFrame({**{name: [np.nan] * n for name in CORE_COLUMNS}, **columns})


def test_cores_are_cpu_seconds_over_the_seconds_that_they_cover() -> None:
    used = core_use(
        trials(
            total_s=[12.0, np.nan],
            wall_s=[15.0, 30.0],
            import_s=[2.0, np.nan],
            cpu_s=[10.0, 50.0],
            other_cpu_s=[4.0, np.nan],
            cpu_taken_share=[0.05, 0.2],
        )
    )
    assert used is not None
    assert (used.own, used.others, used.largest_taken_share) == pytest.approx((1.5, 0.4, 0.2))
    assert (used.stolen, used.throttled, used.trials) == (None, None, 2)


def test_nothing_measured_is_unknown() -> None:
    assert core_use(trials(total_s=[3.0])) is None
    assert core_use(trials(total_s=[])) is None
