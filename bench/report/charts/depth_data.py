"""Prepare the data of a chart by depth: layer statistics before and after training.

Usage:
    data = by_depth(load_health(run, ids))
    data.frame                      # one row per variant, moment, quantity and depth

A value is the median over a variant's trials; it is infinite if it is not a finite number.
"""

from dataclasses import dataclass

import pandas as pd

from bench.report.text.number_text import plural

BEFORE = "before training"
MAX_DEPTHS = 50
_PRODUCTS, _ACTIVATIONS = ("dense", "convolution"), ("activation",)


@dataclass(frozen=True)
class Quantity:
    """The quantity that one row of panels shows."""

    title: str
    columns: tuple[str, ...]
    """Columns of ``load_health``; the first that a layer has is shown."""
    kinds: tuple[str, ...]
    """The kinds of layers that have it."""
    log: bool = False
    is_fraction: bool = False
    """Whether it lies between 0 and 1."""


QUANTITIES = (
    Quantity("Gradient norm", ("gradient_norm",), _PRODUCTS, log=True),
    Quantity("Activation variance", ("output_variance",), _ACTIVATIONS, log=True),
    Quantity("Activation mean", ("output_mean",), _ACTIVATIONS),
    Quantity(
        "Saturated or dead", ("saturated_fraction", "dead_fraction"), _ACTIVATIONS, is_fraction=True
    ),
)


@dataclass(frozen=True)
class DepthData:
    """``frame`` has variant_id, moment, quantity, depth and value, at ``MAX_DEPTHS`` at most."""

    frame: pd.DataFrame
    moments: tuple[str, ...]
    depths: int
    """The number of depths before the limit."""
    trained: int
    """The number of variants with statistics after training."""


def by_depth(health: pd.DataFrame) -> DepthData:
    """Select the statistics before training and the last ones of each trial after training."""
    layers = health[health["kind"].isin([kind for q in QUANTITIES for kind in q.kinds])]
    last = layers.groupby("trial_id")["after_epochs"].transform("max")
    shown = layers[(layers["after_epochs"] == 0) | (layers["after_epochs"] == last)]
    counts = shown.loc[shown["after_epochs"] > 0, "after_epochs"].unique().tolist()
    after = f"after {plural(counts[0], 'epoch')}" if len(counts) == 1 else "after training"
    shown = shown.assign(moment=(shown["after_epochs"] == 0).map({True: BEFORE, False: after}))
    depths = evenly_spaced(sorted(shown["depth"].unique().tolist()))
    rows = shown[shown["depth"].isin(depths)]
    values = pd.concat([_values(rows, q) for q in QUANTITIES])
    keys = ["variant_id", "moment", "quantity", "depth"]
    medians = values.groupby(keys, sort=False)["value"].median().reset_index()
    moments = tuple(m for m in (BEFORE, after) if (medians["moment"] == m).any())
    trained = shown.loc[shown["after_epochs"] > 0, "variant_id"].nunique()
    return DepthData(medians, moments, shown["depth"].nunique(), trained)


def _values(shown: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    rows = shown[shown["kind"].isin(quantity.kinds)]
    values = rows[list(quantity.columns)].bfill(axis=1).iloc[:, 0]
    keys = rows[["variant_id", "moment", "depth"]]
    return keys.assign(quantity=quantity.title, value=values).dropna(subset=["value"])


def evenly_spaced(values: list[int], most: int = MAX_DEPTHS) -> list[int]:
    """Return at most ``most`` of ``values``, always with the first and the last."""
    if len(values) <= most:
        return values
    return sorted({values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)})
