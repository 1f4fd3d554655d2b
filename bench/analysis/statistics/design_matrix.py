"""The columns of a log-linear model of a matrix: factors, and each two of them together.

Usage:
    design = Design.of(trials, ("norm", "jit"), {"norm": "none"})
    x = design.matrix(trials)                          # one column a level, less baselines
    design.contrast("norm", "bn_post", under=("jit", "epoch"))
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    _Array = np.ndarray[Any, np.dtype[np.float64]]

Term = tuple[tuple[str, str], ...]
"""A factor's level, or two of them."""


@dataclass(frozen=True)
class Design:
    """Treatment coding; the first level of each factor is its baseline."""

    levels: Mapping[str, tuple[str, ...]]
    terms: tuple[Term, ...]

    @classmethod
    def of(
        cls, trials: "pd.DataFrame", factors: Sequence[str], baselines: Mapping[str, str]
    ) -> "Design":
        """The design of ``factors``; a baseline not named is the level that came first."""
        levels = {}
        for factor in factors:
            found = trials[factor].astype("str").unique().tolist()
            first = baselines.get(factor, found[0])
            levels[factor] = (first, *(v for v in found if v != first))
        mains: list[Term] = [((f, v),) for f in factors for v in levels[f][1:]]
        pairs = [(*a, *b) for a, b in itertools.combinations(mains, 2) if a[0][0] != b[0][0]]
        return cls(levels, (*mains, *pairs))

    def matrix(self, trials: "pd.DataFrame") -> "_Array":
        """One row a trial and one column a term, of zeros and ones."""
        import numpy as np

        columns = {
            (f, v): (trials[f].astype("str") == v).to_numpy(dtype=float)
            for f, values in self.levels.items()
            for v in values
        }
        return np.stack([np.prod([columns[p] for p in t], axis=0) for t in self.terms], axis=1)

    def contrast(self, factor: str, level: str, under: tuple[str, str] | None = None) -> "_Array":
        """Weights of the terms in ``level`` less the baseline, other things equal.

        Each other factor's levels weigh alike, but for that of ``under``, which is held.
        """
        import numpy as np

        weights = np.zeros(len(self.terms))
        for i, term in enumerate(self.terms):
            if (factor, level) in term:
                others = [part for part in term if part != (factor, level)]
                weights[i] = np.prod([self._share(part, under) for part in others])
        return weights

    def _share(self, part: tuple[str, str], under: tuple[str, str] | None) -> float:
        if under is not None and part[0] == under[0]:
            return float(part == under)
        return 1 / len(self.levels[part[0]])
