"""Refuse comparisons of arms that train on different data: their ratio would say nothing of either.

Usage:
    check_same_data(cells, pairs, "quick.toml")

Arms may differ in the number of examples, which is a size, and in what training does to them: the
batch, ``augment``, ``inputs``, ``pipeline``.
"""

from collections.abc import Iterable, Sequence

from bench.errors import SuiteError
from bench.spec.error_text import value_text
from bench.spec.expand import Cell
from bench.spec.pairing import Pair
from bench.spec.variant_rules import inactive_settings

_DATA_AXES = ("dataset", "shape", "classes")


def check_same_data(cells: Sequence[Cell], pairs: Iterable[Pair], source: str) -> None:
    """Raise SuiteError if a pair's arms have different data; ``source`` is the suite's name."""
    by_id = {cell.id: cell for cell in cells}
    for pair in pairs:
        arm, baseline = by_id[pair.variant_id], by_id[pair.baseline_id]
        for axis in _DATA_AXES:
            here, there = getattr(arm.variant, axis), getattr(baseline.variant, axis)
            # Real data have their own shape and classes, whatever a suite sets.
            if here != there and axis not in inactive_settings(arm.variant):
                raise SuiteError(
                    f"{source}: compare: {axis} is {value_text(here)} in '{arm.label}' and "
                    f"{value_text(there)} in its baseline '{baseline.label}': arms are compared on "
                    f"the same data: give both one {axis}, or drop the comparison"
                )
