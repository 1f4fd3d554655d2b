"""Least squares of log times where some factors change within a block, and others between blocks.

Usage:
    strata = StratifiedRegression.of(rows, design, compared=("norm",))
    fit = strata.fit("norm", under=None)
    fit.can_tell(weights), fit.estimates @ weights

The arms of a comparison run close together, and share what the machine does meanwhile; the groups
of arms of a repeat run one after another. What arms differ in is therefore told from the
differences within groups, what groups differ in from their means, each with the noise of its own
stratum: a split-plot design (F. Yates, Complex experiments, Supplement to the Journal of the Royal
Statistical Society 2, 1935).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.comparison.matched_pairs import varying
from bench.analysis.statistics.design_matrix import Design

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    _Array = np.ndarray[Any, np.dtype[np.float64]]

Level = tuple[str, str]
"""A factor and one of its levels."""


@dataclass(frozen=True)
class Fit:
    """Estimates of a design's terms, and how far they can be trusted."""

    estimates: "_Array"
    covariance: "_Array"
    known: "_Array"
    """Projects weights onto what can be told; what it changes cannot."""
    scale: float
    df: int
    blocks: int

    def can_tell(self, weights: "_Array") -> bool:
        """Whether the effect of these weights of terms can be told from others."""
        import numpy as np

        return bool(np.allclose(self.known @ weights, weights, atol=1e-6))


@dataclass(frozen=True)
class StratifiedRegression:
    """The fits of one session's trials."""

    within: Fit
    """Of differences between the arms of a group."""
    between: Fit
    """Of the means of whole groups."""
    at: Mapping[Level, Fit]
    """Of the arms alone that are at a level of a compared factor."""
    compared: tuple[str, ...]

    @classmethod
    def of(
        cls, rows: "pd.DataFrame", design: Design, compared: Sequence[str]
    ) -> "StratifiedRegression":
        """``compared`` are the factors whose levels run as arms of one group."""
        apart = [name for name in varying(rows) if name not in compared]
        plot = rows.groupby(["block", *apart], sort=False, observed=True, dropna=False).ngroup()
        inner = tuple(name for name in compared if name in design.levels)
        return cls(
            within=_fit(rows, design, plot),
            between=_fit_means(rows, design, plot, apart),
            at={
                (name, level): _fit(part, design, part["block"])
                for name in inner
                for level in design.levels[name]
                if len(part := rows[rows[name].astype("str") == level])
            },
            compared=inner,
        )

    @property
    def noise(self) -> Fit:
        """The fit whose residual is that of a trial."""
        return self.within if self.compared else self.between

    def fit(self, factor: str, under: Level | None) -> Fit | None:
        """What tells an effect of ``factor``, average or ``under`` a level of another."""
        if factor in self.compared:
            return self.within
        if under is not None and under[0] in self.compared:
            return self.at.get(under)
        return self.between


def deviations(rows: "pd.DataFrame", design: Design, group: Any) -> "tuple[_Array, _Array]":
    """Columns and log times less their means over each ``group``: these are absorbed.

    R. Frisch and F. Waugh, Econometrica 1, 1933; M. Lovell, JASA 58, 1963.
    """
    return _less_means(_observed(rows, design), group)


def _observed(rows: "pd.DataFrame", design: Design) -> "_Array":
    """The columns of the design, and as the last one the logarithm of the times."""
    import numpy as np

    return np.column_stack([design.matrix(rows), np.log(rows["epoch_s"].to_numpy(dtype=float))])


def _less_means(both: "_Array", group: Any) -> "tuple[_Array, _Array]":
    import pandas as pd

    code, _ = pd.factorize(group)
    means = pd.DataFrame(both).groupby(code).mean().to_numpy()
    both = both - means[code]
    return both[:, :-1], both[:, -1]


def _fit(rows: "pd.DataFrame", design: Design, group: Any) -> Fit:
    x, y = deviations(rows, design, group)
    return _least_squares(x, y, int(group.nunique()), int(rows["block"].nunique()))


def _fit_means(
    rows: "pd.DataFrame", design: Design, plot: "pd.Series[int]", apart: Sequence[str]
) -> Fit:
    """Of groups that lack no arm: the mean of fewer would hold less of what arms differ in."""
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame(_observed(rows, design), index=plot.to_numpy())
    means = frame.groupby(level=0).mean()
    firsts = rows.assign(plot=plot).drop_duplicates("plot").set_index("plot").loc[means.index]
    arms = frame.groupby(level=0).size()
    setting = firsts.groupby(list(apart), sort=False, dropna=False).ngroup() if apart else 0
    whole = arms == arms.groupby(setting if apart else np.zeros(len(arms))).transform("max")
    kept = whole.to_numpy()
    block = firsts["block"][kept]
    x, y = _less_means(means.to_numpy()[kept], block)
    return _least_squares(x, y, int(block.nunique()), int(block.nunique()))


def _least_squares(x: "_Array", y: "_Array", absorbed: int, blocks: int) -> Fit:
    import numpy as np
    from statsmodels.regression.linear_model import OLS
    from statsmodels.tools.sm_exceptions import SingularMatrixWarning

    gram = x.T @ x
    known = np.linalg.pinv(gram, hermitian=True) @ gram
    df = int(len(y) - np.linalg.matrix_rank(gram, hermitian=True) - absorbed)
    model = OLS(y, x)
    model.df_resid = max(df, 1)
    with warnings.catch_warnings():
        # What cannot be told apart is found by ``can_tell``, effect by effect.
        warnings.simplefilter("ignore", SingularMatrixWarning)
        result = model.fit()
    scale = float(result.scale) if df > 0 else 0.0
    return Fit(result.params, result.cov_params(), known, scale, df, blocks)
