"""Build the columns of a log-linear model of a matrix: factors and all pairs of factors.

Usage:
    design = Design.of(trials, ("norm", "jit"), {"norm": "none"})
    x = design.matrix(trials)                          # one column per level, without baselines
    design.contrast("norm", "bn_post", under=("jit", "epoch"))
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.spec.axis_groups import OBSERVATION_AXES
from bench.spec.variant import Variant

_Array = np.ndarray[Any, np.dtype[np.float64]]

SETTINGS: tuple[str, ...] = tuple(n for n in Variant.model_fields if n not in OBSERVATION_AXES)
"""The axes that may be factors."""

Term = tuple[tuple[str, str], ...]
"""A factor with its level, or two of them."""


def varying(trials: pd.DataFrame) -> tuple[str, ...]:
    """Return the settings that take several values in ``trials``."""
    return tuple(n for n in SETTINGS if n in trials and trials[n].nunique(dropna=False) > 1)


@dataclass(frozen=True)
class Design:
    """A design in treatment coding: the first level of each factor is its baseline."""

    levels: Mapping[str, tuple[str, ...]]
    terms: tuple[Term, ...]

    @classmethod
    def of(
        cls, trials: pd.DataFrame, factors: Sequence[str], baselines: Mapping[str, str]
    ) -> "Design":
        """Return the design of ``factors``; by default a baseline is the level that came first."""
        levels = {}
        for factor in factors:
            observed = trials[factor].astype("str").unique().tolist()
            baseline = baselines.get(factor, observed[0])
            levels[factor] = (baseline, *(v for v in observed if v != baseline))
        mains: list[Term] = [((f, v),) for f in factors for v in levels[f][1:]]
        pairs = [(*a, *b) for a, b in itertools.combinations(mains, 2) if a[0][0] != b[0][0]]
        return cls(levels, (*mains, *pairs))

    def matrix(self, trials: pd.DataFrame) -> _Array:
        """Return a matrix of zeros and ones with one row per trial and one column per term."""
        columns = {
            (f, v): (trials[f].astype("str") == v).to_numpy(dtype=float)
            for f, values in self.levels.items()
            for v in values
        }
        return np.stack([np.prod([columns[p] for p in t], axis=0) for t in self.terms], axis=1)

    def contrast(self, factor: str, level: str, under: tuple[str, str] | None = None) -> _Array:
        """Return the weights of the terms in ``level`` minus the baseline.

        The levels of every other factor have equal weight, except that the factor of ``under`` is
        held at that level.
        """
        weights = np.zeros(len(self.terms))
        for i, term in enumerate(self.terms):
            if (factor, level) in term:
                others = [part for part in term if part != (factor, level)]
                weights[i] = np.prod([self._weight(part, under) for part in others])
        return weights

    def _weight(self, part: tuple[str, str], under: tuple[str, str] | None) -> float:
        if under is not None and part[0] == under[0]:
            return float(part == under)
        return 1 / len(self.levels[part[0]])
