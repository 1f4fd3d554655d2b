"""Load the arrays that a variant trains on.

Usage:
    by_key = {dataset_key(v): v for v in variants}          # one load for each key
    arrays = {key: load_arrays(v) for key, v in by_key.items()}
"""

from collections.abc import Iterable
from pathlib import Path

from bench.datasets.arrays import Arrays
from bench.datasets.fashion_mnist import split
from bench.datasets.fetch import find_or_fetch
from bench.datasets.synthetic import make_synthetic
from bench.datasets.synthetic_sizes import pool_sizes
from bench.spec.variant import Variant


def load_arrays(variant: Variant, folder: Path | None = None) -> Arrays:
    """Read or make the dataset of ``variant``; fetch it if it is missing.

    ``folder`` is searched first for real data. The arrays hold all examples that exist; training
    uses fewer of them, or derives more, to reach ``variant.examples``. Raises DatasetError, naming
    every folder that was searched, if the data is unavailable.
    """
    if variant.dataset == "synthetic":
        return make_synthetic(variant.shape, variant.classes, variant.examples)
    return split(find_or_fetch(folder))


def real_variants(variants: Iterable[Variant]) -> list[Variant]:
    """Return one of ``variants`` for each real dataset that they need."""
    by_key = {v.dataset: v for v in variants if v.dataset != "synthetic"}
    return list(by_key.values())


def dataset_key(variant: Variant) -> str:
    """Return a key that is equal for variants whose ``load_arrays`` gives the same arrays."""
    if variant.dataset != "synthetic":
        return variant.dataset
    height, width, channels = variant.shape
    train, _ = pool_sizes(variant.shape, variant.examples)
    return f"synthetic-{height}x{width}x{channels}-{variant.classes}-{train}"
