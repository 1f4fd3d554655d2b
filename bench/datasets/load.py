"""The arrays that a variant trains on.

Usage:
    by_key = {dataset_key(v): v for v in variants}          # one load for each key
    arrays = {key: load_arrays(v) for key, v in by_key.items()}
"""

from collections.abc import Iterable
from pathlib import Path

from bench.datasets.arrays import Arrays
from bench.datasets.fashion_mnist import split
from bench.datasets.fetch import find_or_fetch
from bench.datasets.pool import pool_sizes
from bench.datasets.synthetic import make_synthetic
from bench.spec.variant import Variant


def load_arrays(variant: Variant, folder: Path | None = None) -> Arrays:
    """Read, or make, the data set of ``variant``; fetch it where it is nowhere yet.

    ``folder`` is where real data is looked for first. The arrays hold what exists:
    ``variant.examples`` below or above their number is for the training to act on.
    Raises DatasetError where the data cannot be had, with every place that was tried.
    """
    if variant.dataset == "synthetic":
        return make_synthetic(variant.shape, variant.classes, variant.examples)
    return split(find_or_fetch(folder))


def real_variants(variants: Iterable[Variant]) -> list[Variant]:
    """One of ``variants`` for each real data set that they need."""
    by_key = {v.dataset: v for v in variants if v.dataset != "synthetic"}
    return list(by_key.values())


def dataset_key(variant: Variant) -> str:
    """Equal for variants whose ``load_arrays`` gives the same arrays."""
    if variant.dataset != "synthetic":
        return variant.dataset
    height, width, channels = variant.shape
    train, _ = pool_sizes(variant.shape, variant.examples)
    return f"synthetic-{height}x{width}x{channels}-{variant.classes}-{train}"
