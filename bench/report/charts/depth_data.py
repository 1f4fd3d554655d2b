"""What a chart by depth is drawn from: each quantity of each variant, before and after training.

Usage:
    drawn = by_depth(load_health(run, ids))
    drawn.frame                     # one row a variant, moment, quantity and depth

A value is the median over a variant's trials. Infinite is what is no finite number.
"""

from dataclasses import dataclass

import pandas as pd

from bench.report.text.number_text import plural

BEFORE = "before training"
MAX_DEPTHS = 50
_PRODUCTS, _ACTIVATIONS = ("dense", "convolution"), ("activation",)


@dataclass(frozen=True)
class Quantity:
    """What one row of panels shows."""

    title: str
    columns: tuple[str, ...]
    """Of ``load_health``: the first that a layer has."""
    kinds: tuple[str, ...]
    """The layers that it is of."""
    log: bool = False
    of_one: bool = False
    """Whether it is a part of 1."""


QUANTITIES = (
    Quantity("Gradient norm", ("gradient_norm",), _PRODUCTS, log=True),
    Quantity("Activation variance", ("output_variance",), _ACTIVATIONS, log=True),
    Quantity("Activation mean", ("output_mean",), _ACTIVATIONS),
    Quantity(
        "Saturated or dead", ("saturated_fraction", "dead_fraction"), _ACTIVATIONS, of_one=True
    ),
)


@dataclass(frozen=True)
class DepthData:
    """``frame`` has variant_id, moment, quantity, depth and value, of at most ``MAX_DEPTHS``."""

    frame: pd.DataFrame
    moments: tuple[str, ...]
    depths: int
    """How many there are."""
    after: int
    """How many variants were looked at after training."""


def by_depth(health: pd.DataFrame) -> DepthData:
    """The look before training, and the last of each trial after it, where there are such."""
    own = health[health["kind"].isin([kind for q in QUANTITIES for kind in q.kinds])]
    last = own.groupby("trial_id")["after_epochs"].transform("max")
    shown = own[(own["after_epochs"] == 0) | (own["after_epochs"] == last)]
    counts = shown.loc[shown["after_epochs"] > 0, "after_epochs"].unique().tolist()
    after = f"after {plural(counts[0], 'epoch')}" if len(counts) == 1 else "after training"
    shown = shown.assign(moment=(shown["after_epochs"] == 0).map({True: BEFORE, False: after}))
    kept = evenly_spaced(sorted(shown["depth"].unique().tolist()))
    found = pd.concat([_of(shown[shown["depth"].isin(kept)], q) for q in QUANTITIES])
    keys = ["variant_id", "moment", "quantity", "depth"]
    medians = found.groupby(keys, sort=False)["value"].median().reset_index()
    moments = tuple(m for m in (BEFORE, after) if (medians["moment"] == m).any())
    trained = shown.loc[shown["after_epochs"] > 0, "variant_id"].nunique()
    return DepthData(medians, moments, shown["depth"].nunique(), trained)


def _of(shown: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    rows = shown[shown["kind"].isin(quantity.kinds)]
    values = rows[list(quantity.columns)].bfill(axis=1).iloc[:, 0]
    named = rows[["variant_id", "moment", "depth"]].assign(quantity=quantity.title, value=values)
    return named.dropna(subset=["value"])


def evenly_spaced(values: list[int], most: int = MAX_DEPTHS) -> list[int]:
    """At most ``most`` of ``values``, the first and the last kept."""
    if len(values) <= most:
        return values
    return sorted({values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)})
