"""What each setting of a matrix does to an epoch's time, alone and under each other setting.

Usage:
    found = effects(trials, ("norm", "global_batch_size"), {"norm": "none"})
    for effect in found.effects:
        effect.factor, effect.level, effect.under, effect.ratio

log T = block + factors + all pairs of factors, by least squares. Blocks are absorbed: all
columns are taken as deviations from their block's mean, and the residual degrees of freedom
are less by the blocks (R. Frisch and F. Waugh, Econometrica 1, 1933; M. Lovell, JASA 58,
1963). An effect is an average over the levels of the other factors, each weighing alike. Of
several sessions each gives one estimate, and the interval is t over sessions.

From three sessions on, a mixed model with a slope of its own for each session and factor
level (N. Laird and J. Ware, Biometrics 38, 1982), by restricted maximum likelihood, stands
beside as a cross-check. Its intervals are normal, and too narrow for so few sessions.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.design import Design
from bench.analysis.matched import settled, varying
from bench.analysis.paired import CONFIDENCE, POWER, Ratio, ratio

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    _Array = np.ndarray[Any, np.dtype[np.float64]]

_LEAST_SESSIONS_MIXED = 3


@dataclass(frozen=True, slots=True)
class Effect:
    """Epoch time with a level over that with the factor's baseline."""

    factor: str
    level: str
    baseline: str
    under: tuple[str, str] | None
    """Another factor and the level it is held at; None for the average over all."""
    ratio: Ratio | None
    """None where the completed trials cannot tell it from other effects."""
    mixed: Ratio | None
    """The cross-check; None below three sessions, or where it did not converge."""


@dataclass(frozen=True, slots=True)
class Effects:
    """All effects of a matrix, and what they were estimated from."""

    factors: tuple[str, ...]
    effects: tuple[Effect, ...]
    trials: int
    blocks: int
    sessions: int
    residual: float | None
    """Standard deviation of what the model leaves over, in log seconds, within sessions."""
    unsettled: int
    statuses: Mapping[str, int]
    """Trials that did not complete."""


def effects(
    trials: "pd.DataFrame",
    factors: Sequence[str] | None = None,
    baselines: Mapping[str, str] | None = None,
) -> Effects:
    """All effects of ``factors``, or of all settings that vary, and of each pair of them."""
    usable = settled(trials)
    rows = trials[usable]
    if "session" not in rows:
        rows = rows.assign(session=rows["invocation"])
    names = varying(rows) if factors is None else tuple(factors)
    design = Design.of(trials, names, baselines or {})
    fits = [_fit(part, design) for _, part in rows.groupby("session", sort=False)]
    mixed = _mixed(rows, design, len(fits))
    ended = trials.loc[trials["status"] != "completed", "status"].value_counts()
    spare = sum(f.df for f in fits)
    return Effects(
        factors=names,
        effects=tuple(_effects(design, fits, mixed)),
        trials=len(rows),
        blocks=int(rows["block"].nunique()),
        sessions=len(fits),
        residual=math.sqrt(sum(f.scale * f.df for f in fits) / spare) if spare > 0 else None,
        unsettled=int(((trials["status"] == "completed") & ~usable).sum()),
        statuses={str(k): int(v) for k, v in ended.items()},
    )


@dataclass(frozen=True)
class _Fit:
    """A model of the trials of one session, or of all with what sessions differ in."""

    estimates: "_Array"
    covariance: "_Array"
    known: "_Array"
    """Projects weights onto what can be told; what it changes cannot."""
    scale: float
    df: int
    blocks: int

    def can_tell(self, weights: "_Array") -> bool:
        import numpy as np

        return bool(np.allclose(self.known @ weights, weights, atol=1e-6))


def _fit(rows: "pd.DataFrame", design: Design) -> _Fit:
    import numpy as np
    from statsmodels.regression.linear_model import OLS
    from statsmodels.tools.sm_exceptions import SingularMatrixWarning

    x, y = _within_blocks(rows, design)
    blocks = int(rows["block"].nunique())
    gram = x.T @ x
    known = np.linalg.pinv(gram, hermitian=True) @ gram
    model = OLS(y, x)
    df = int(len(y) - np.linalg.matrix_rank(gram, hermitian=True) - blocks)
    model.df_resid = max(df, 1)
    with warnings.catch_warnings():
        # What cannot be told apart is found by ``can_tell``, effect by effect.
        warnings.simplefilter("ignore", SingularMatrixWarning)
        result = model.fit()
    scale = float(result.scale) if df > 0 else math.nan
    return _Fit(result.params, result.cov_params(), known, scale if df > 0 else 0.0, df, blocks)


def _within_blocks(rows: "pd.DataFrame", design: Design) -> "tuple[_Array, _Array]":
    """Columns and log times as deviations from the means of their blocks."""
    import numpy as np
    import pandas as pd

    both = np.column_stack([design.matrix(rows), np.log(rows["epoch_s"].to_numpy(dtype=float))])
    code, _ = pd.factorize(rows["block"])
    means = pd.DataFrame(both).groupby(code).mean().to_numpy()
    both -= means[code]
    return both[:, :-1], both[:, -1]


def _effects(design: Design, fits: Sequence[_Fit], mixed: _Fit | None) -> "list[Effect]":
    found = []
    for factor, (baseline, *others) in design.levels.items():
        held = [(g, v) for g, values in design.levels.items() if g != factor for v in values]
        for level in others:
            for under in (None, *held):
                weights = design.contrast(factor, level, under)
                estimated = _ratio(weights, fits)
                checked = _mixed_ratio(weights, mixed, fits) if estimated else None
                found.append(Effect(factor, level, baseline, under, estimated, checked))
    return found


def _ratio(weights: "_Array", fits: Sequence[_Fit]) -> Ratio | None:
    import numpy as np

    able = [f for f in fits if f.can_tell(weights)]
    if not able:
        return None
    blocks = sum(f.blocks for f in able)
    if len(able) > 1:
        means = np.array([f.estimates @ weights for f in able])
        return ratio(len(able), float(means.mean()), float(means.std(ddof=1)), blocks, len(able))
    fit = able[0]
    mean = float(fit.estimates @ weights)
    error = math.sqrt(max(float(weights @ fit.covariance @ weights), 0.0))
    return _t_ratio(mean, error, fit.df, blocks, 1)


def _t_ratio(mean: float, error: float, df: int, blocks: int, sessions: int) -> Ratio:
    from scipy import special

    if df < 1:
        return Ratio(math.exp(mean), None, None, blocks, blocks, sessions, None)
    t = float(special.stdtrit(df, 0.5 + CONFIDENCE / 2))
    shift = float(special.nctdtrinc(df, 1 - POWER, t)) * error
    ends = (mean - t * error, mean + t * error)
    low, high = (math.exp(min(end, 700.0)) for end in ends)
    seen = math.exp(shift) if shift < 700 else None
    return Ratio(math.exp(mean), low, high, blocks, blocks, sessions, seen)


def _mixed(rows: "pd.DataFrame", design: Design, sessions: int) -> _Fit | None:
    if sessions < _LEAST_SESSIONS_MIXED:
        return None
    import numpy as np
    from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams

    x, y = _within_blocks(rows, design)
    mains = [i for i, term in enumerate(design.terms) if len(term) == 1]
    if np.linalg.matrix_rank(x) < x.shape[1]:
        return None
    apart = MixedLMParams.from_components(np.ones(x.shape[1]), np.eye(len(mains)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said by ``converged``, and at the edge of no variance
        try:
            model = MixedLM(y, x, groups=rows["session"].to_numpy(), exog_re=x[:, mains])
            result = model.fit(reml=True, free=apart, method=["lbfgs", "powell"])
        except (np.linalg.LinAlgError, ValueError):
            return None
    covariance = np.asarray(result.cov_params())[: x.shape[1], : x.shape[1]]
    if not result.converged or not np.isfinite(covariance).all():
        return None
    blocks = int(rows["block"].nunique())
    known = np.eye(x.shape[1])
    return _Fit(np.asarray(result.fe_params), covariance, known, float(result.scale), 0, blocks)


def _mixed_ratio(weights: "_Array", mixed: _Fit | None, fits: Sequence[_Fit]) -> Ratio | None:
    if mixed is None:
        return None
    mean = float(mixed.estimates @ weights)
    error = math.sqrt(max(float(weights @ mixed.covariance @ weights), 0.0))
    # So many degrees of freedom that t is normal.
    found = _t_ratio(mean, error, 10**7, mixed.blocks, len(fits))
    return Ratio(found.value, found.low, found.high, len(fits), mixed.blocks, len(fits), None)
