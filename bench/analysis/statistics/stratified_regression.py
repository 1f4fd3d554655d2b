"""Fit log times by least squares where some factors vary within groups, others between groups.

Usage:
    strata = StratifiedRegression.of(rows, design, compared=("norm",))
    fit = strata.fit("norm", under=None)
    fit.is_estimable(weights), fit.estimates @ weights

The arms of a comparison run close together and share the state of the machine; the groups of arms
of a repeat run one after another, and so do the parts of a large group. The effect of a factor that
differs between arms is therefore estimated from differences within parts, and the effect of a
factor that differs between groups from group means, each with the noise of its own stratum: a
split-plot design (F. Yates, Complex experiments, Supplement to the Journal of the Royal Statistical
Society 2, 1935).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.statistics.design_matrix import Design, varying

_Array = np.ndarray[Any, np.dtype[np.float64]]

Level = tuple[str, str]
"""A factor and one of its levels."""


@dataclass(frozen=True)
class Fit:
    """Estimates of a design's terms and their covariance."""

    estimates: _Array
    covariance: _Array
    estimable: _Array
    """Projects weights onto the estimable contrasts; a contrast that changes is not estimable."""
    scale: float
    df: int
    blocks: int

    def is_estimable(self, weights: _Array) -> bool:
        """Return whether the effect with these weights can be separated from other effects."""
        return bool(np.allclose(self.estimable @ weights, weights, atol=1e-6))


@dataclass(frozen=True)
class StratifiedRegression:
    """The fits of one session's trials."""

    within: Fit
    """Of differences between the arms of a part of a group."""
    between: Fit
    """Of the means of complete groups, over all parts."""
    at_level: Mapping[Level, Fit]
    """Of only the arms at one level of a compared factor."""
    compared: tuple[str, ...]

    @classmethod
    def of(
        cls, rows: pd.DataFrame, design: Design, compared: Sequence[str]
    ) -> "StratifiedRegression":
        """Fit ``rows``; ``compared`` are the factors whose levels run as arms of one group."""
        between_factors = [name for name in varying(rows) if name not in compared]
        groups, parts = (
            rows.groupby(keys, sort=False, observed=True, dropna=False).ngroup()
            for keys in (["block", *between_factors], ["block", "part", *between_factors])
        )
        within_factors = tuple(name for name in compared if name in design.levels)
        return cls(
            within=_fit(rows, design, parts),
            between=_fit_means(rows, design, groups, between_factors),
            at_level={
                (name, level): _fit(subset, design, subset["block"])
                for name in within_factors
                for level in design.levels[name]
                if len(subset := rows[rows[name].astype("str") == level])
            },
            compared=within_factors,
        )

    @property
    def noise(self) -> Fit:
        """The fit whose residual is that of a trial."""
        return self.within if self.compared else self.between

    def fit(self, factor: str, under: Level | None) -> Fit | None:
        """Return the fit for an effect of ``factor``, on average or ``under`` another's level."""
        if factor in self.compared:
            return self.within
        if under is not None and under[0] in self.compared:
            return self.at_level.get(under)
        return self.between


def deviations(rows: pd.DataFrame, design: Design, group: Any) -> tuple[_Array, _Array]:
    """Return columns and log times minus their means over each ``group``, which absorbs the groups.

    R. Frisch and F. Waugh, Econometrica 1, 1933; M. Lovell, JASA 58, 1963.
    """
    return _subtract_means(_observed(rows, design), group)


def _observed(rows: pd.DataFrame, design: Design) -> _Array:
    """Return the columns of the design, with the logarithm of the times as the last one."""
    return np.column_stack([design.matrix(rows), np.log(rows["epoch_s"].to_numpy(dtype=float))])


def _subtract_means(values: _Array, group: Any) -> tuple[_Array, _Array]:
    code, _ = pd.factorize(group)
    means = pd.DataFrame(values).groupby(code).mean().to_numpy()
    values = values - means[code]
    return values[:, :-1], values[:, -1]


def _fit(rows: pd.DataFrame, design: Design, group: Any) -> Fit:
    x, y = deviations(rows, design, group)
    return _least_squares(x, y, int(group.nunique()), int(rows["block"].nunique()))


def _fit_means(
    rows: pd.DataFrame, design: Design, groups: "pd.Series[int]", between_factors: Sequence[str]
) -> Fit:
    """Fit the means of groups with all arms; other means would lack part of the arm effects."""
    frame = pd.DataFrame(_observed(rows, design), index=groups.to_numpy())
    means = frame.groupby(level=0).mean()
    first_rows = (
        rows.assign(group=groups).drop_duplicates("group").set_index("group").loc[means.index]
    )
    arms = frame.groupby(level=0).size()
    setting: Any = np.zeros(len(arms))
    if between_factors:
        setting = first_rows.groupby(list(between_factors), sort=False, dropna=False).ngroup()
    is_used = (arms == arms.groupby(setting).transform("max")).to_numpy()
    block = first_rows["block"][is_used]
    x, y = _subtract_means(means.to_numpy()[is_used], block)
    return _least_squares(x, y, int(block.nunique()), int(block.nunique()))


def _least_squares(x: _Array, y: _Array, absorbed: int, blocks: int) -> Fit:
    # Imported here: it takes a second, and only runs with several factors need it.
    from statsmodels.regression.linear_model import OLS
    from statsmodels.tools.sm_exceptions import SingularMatrixWarning

    gram = x.T @ x
    estimable = np.linalg.pinv(gram, hermitian=True) @ gram
    df = int(len(y) - np.linalg.matrix_rank(gram, hermitian=True) - absorbed)
    model = OLS(y, x)
    model.df_resid = max(df, 1)
    with warnings.catch_warnings():
        # ``is_estimable`` checks each effect on its own.
        warnings.simplefilter("ignore", SingularMatrixWarning)
        result = model.fit()
    scale = float(result.scale) if df > 0 else 0.0
    return Fit(result.params, result.cov_params(), estimable, scale, df, blocks)
