"""Estimate what each setting of a matrix does to epoch time, on average and under other settings.

Usage:
    result = effects(trials, ("norm", "global_batch_size"), {"norm": "none"})
    for effect in result.effects:
        effect.factor, effect.level, effect.under, effect.ratio

log T = block + factors + all pairs of factors, by least squares. The factors that a suite compares
are estimated from differences within the groups of trials that ran together, all others from the
means of these groups (``stratified_regression``). T is the median epoch of a trial, also where the
arms took turns: the ratios of a comparison are over rounds, these effects are not.

An effect is an average over the levels of the other factors, with equal weights. With several
sessions, each gives one estimate, and the interval is t over sessions.

From three sessions on, a mixed model with a separate slope for each session and factor level (N.
Laird and J. Ware, Biometrics 38, 1982), fitted by restricted maximum likelihood, serves as a
cross-check. Its intervals are normal, which is too narrow for so few sessions.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from bench.analysis.loading.trial_filters import is_timed, is_unsteady
from bench.analysis.statistics.design_matrix import Design, varying
from bench.analysis.statistics.intervals import CONFIDENCE, POWER, Ratio, ratio
from bench.analysis.statistics.session_units import ensure_sessions
from bench.analysis.statistics.stratified_regression import Fit, StratifiedRegression, deviations

_Array = np.ndarray[Any, np.dtype[np.float64]]

_MIN_SESSIONS_MIXED = 3


@dataclass(frozen=True, slots=True)
class Effect:
    """Epoch time with a level over that with the factor's baseline."""

    factor: str
    level: str
    baseline: str
    under: tuple[str, str] | None
    """Another factor and the level at which it is held; None for the average over all."""
    ratio: Ratio | None
    """None if the completed trials cannot separate it from other effects."""
    mixed: Ratio | None
    """The cross-check; None below three sessions, or if it did not converge."""


@dataclass(frozen=True, slots=True)
class Effects:
    """All effects of a matrix, and what they were estimated from."""

    factors: tuple[str, ...]
    effects: tuple[Effect, ...]
    trials: int
    blocks: int
    sessions: int
    residual: float | None
    """Standard deviation of the model's residuals, in log seconds, within sessions."""
    unsettled: int
    """Trials whose epochs drifted or never settled; they count."""
    statuses: Mapping[str, int]
    """Trials that did not complete."""


def effects(
    trials: pd.DataFrame,
    factors: Sequence[str] | None = None,
    baselines: Mapping[str, str] | None = None,
) -> Effects:
    """Estimate all effects of ``factors``, by default all settings that vary, and of their pairs.

    ``baselines`` are the axes that the suite compares, whose levels ran as arms of one group, each
    with its baseline.
    """
    rows = ensure_sessions(trials[is_timed(trials)])
    names = varying(rows) if factors is None else tuple(factors)
    design = Design.of(trials, names, baselines or {})
    compared = tuple(baselines or {})
    fits = [
        StratifiedRegression.of(part, design, compared)
        for _, part in rows.groupby("session", sort=False)
    ]
    mixed = _mixed(rows, design, len(fits))
    failed = trials.loc[trials["status"] != "completed", "status"].value_counts()
    noise = [strata.noise for strata in fits]
    df = sum(f.df for f in noise)
    return Effects(
        factors=names,
        effects=tuple(_effects(design, fits, mixed)),
        trials=len(rows),
        blocks=int(rows["block"].nunique()),
        sessions=len(fits),
        residual=math.sqrt(sum(f.scale * f.df for f in noise) / df) if df > 0 else None,
        unsettled=int(is_unsteady(rows).sum()),
        statuses={str(k): int(v) for k, v in failed.items()},
    )


def _effects(
    design: Design, fits: Sequence[StratifiedRegression], mixed: Fit | None
) -> list[Effect]:
    result = []
    for factor, (baseline, *others) in design.levels.items():
        held = [(g, v) for g, values in design.levels.items() if g != factor for v in values]
        for level in others:
            for under in (None, *held):
                weights = design.contrast(factor, level, under)
                stratum_fits = [strata.fit(factor, under) for strata in fits]
                estimated = _ratio(weights, [f for f in stratum_fits if f is not None])
                cross_check = _mixed_ratio(weights, mixed, len(fits)) if estimated else None
                result.append(Effect(factor, level, baseline, under, estimated, cross_check))
    return result


def _ratio(weights: _Array, fits: Sequence[Fit]) -> Ratio | None:
    estimable = [f for f in fits if f.is_estimable(weights)]
    if not estimable:
        return None
    blocks = sum(f.blocks for f in estimable)
    if len(estimable) > 1:
        means = np.array([f.estimates @ weights for f in estimable])
        return ratio(
            len(estimable), float(means.mean()), float(means.std(ddof=1)), blocks, len(estimable)
        )
    fit = estimable[0]
    mean = float(fit.estimates @ weights)
    error = math.sqrt(max(float(weights @ fit.covariance @ weights), 0.0))
    return _t_ratio(mean, error, fit.df, blocks, 1)


def _t_ratio(mean: float, error: float, df: int, blocks: int, sessions: int) -> Ratio:
    if df < 1:
        return Ratio(math.exp(mean), None, None, blocks, blocks, sessions, None)
    t = float(special.stdtrit(df, 0.5 + CONFIDENCE / 2))
    shift = float(special.nctdtrinc(df, 1 - POWER, t)) * error
    ends = (mean - t * error, mean + t * error)
    low, high = (math.exp(min(end, 700.0)) for end in ends)
    detectable = math.exp(shift) if shift < 700 else None
    return Ratio(math.exp(mean), low, high, blocks, blocks, sessions, detectable)


def _mixed(rows: pd.DataFrame, design: Design, sessions: int) -> Fit | None:
    if sessions < _MIN_SESSIONS_MIXED:
        return None
    # Imported here: it takes a second, and only runs of several sessions need it.
    from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams

    x, y = deviations(rows, design, rows.groupby(["block", "part"]).ngroup())
    mains = [i for i, term in enumerate(design.terms) if len(term) == 1]
    if np.linalg.matrix_rank(x) < x.shape[1]:
        return None
    free = MixedLMParams.from_components(np.ones(x.shape[1]), np.eye(len(mains)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence, checked below, and of zero variance
        try:
            model = MixedLM(y, x, groups=rows["session"].to_numpy(), exog_re=x[:, mains])
            result = model.fit(reml=True, free=free, method=["lbfgs", "powell"])
        except (np.linalg.LinAlgError, ValueError):
            return None
    covariance = np.asarray(result.cov_params())[: x.shape[1], : x.shape[1]]
    if not result.converged or not np.isfinite(covariance).all():
        return None
    blocks = int(rows["block"].nunique())
    estimable = np.eye(x.shape[1])
    return Fit(np.asarray(result.fe_params), covariance, estimable, float(result.scale), 0, blocks)


def _mixed_ratio(weights: _Array, mixed: Fit | None, sessions: int) -> Ratio | None:
    if mixed is None:
        return None
    mean = float(mixed.estimates @ weights)
    error = math.sqrt(max(float(weights @ mixed.covariance @ weights), 0.0))
    # With this many degrees of freedom, t is normal.
    result = _t_ratio(mean, error, 10**7, mixed.blocks, sessions)
    return Ratio(result.value, result.low, result.high, sessions, mixed.blocks, sessions, None)
