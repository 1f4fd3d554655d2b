"""Arrange the comparisons of a run in a table: a column for each axis and baseline.

Usage:
    cells = comparison_cells(info, trials, raw, blocks_by_variant(info.trial_ids))
    cells.columns, cells.row_of(variant_id), cells.baseline_of(variant_id)
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analysis.comparison.compare import Comparison, compare
from bench.analysis.comparison.planned_blocks import BlocksByVariant
from bench.analysis.loading.record_arrays import RecordArrays
from bench.analysis.statistics.intervals import CONFIDENCE
from bench.records.run_info import RunInfo
from bench.spec.pairing import Pair


@dataclass(frozen=True)
class ComparisonColumn:
    """A comparison of a suite: the axis that differs, and its value in the baseline."""

    axis: str
    baseline: str


@dataclass(frozen=True)
class ComparisonCells:
    """The comparisons of a run by variant and column."""

    columns: tuple[ComparisonColumn, ...]
    cells: dict[tuple[str, int], Comparison]
    """By variant id and column index."""
    baselines: frozenset[tuple[str, int]]
    compared: tuple[tuple[str, Comparison], ...]
    """The id of the baseline and the comparison, pair by pair."""

    def row_of(self, variant_id: str) -> tuple[Comparison | None, ...]:
        """Return the comparison in each column, or None."""
        return tuple(self.cells.get((variant_id, i)) for i in range(len(self.columns)))

    def baseline_of(self, variant_id: str) -> tuple[bool, ...]:
        """Return for each column whether the variant is its baseline."""
        return tuple((variant_id, i) in self.baselines for i in range(len(self.columns)))


def comparison_cells(
    info: RunInfo, trials: pd.DataFrame, raw: RecordArrays, blocks: BlocksByVariant
) -> ComparisonCells:
    """Make all comparisons that the suite of ``info`` lists, over the last attempts ``trials``."""
    variants = trials.drop_duplicates("variant_id").set_index("variant_id")
    columns, column_of = _columns(info, variants)
    confidence = info.stopping.confidence if info.stopping else CONFIDENCE
    compared = compare(trials, raw.settings, info.pairs, blocks, confidence, raw.turns)
    rows = list(zip(info.pairs, column_of, compared, strict=True))
    return ComparisonCells(
        columns=columns,
        cells={(pair.variant_id, i): comparison for pair, i, comparison in rows},
        baselines=frozenset((pair.baseline_id, i) for pair, i, _ in rows),
        compared=tuple((pair.baseline_id, comparison) for pair, _, comparison in rows),
    )


def by_variant(values: "pd.Series[Any]") -> dict[str, Any]:
    """Convert a series whose index is variant ids to a dictionary of plain values."""
    return dict(zip(values.index.tolist(), values.tolist(), strict=True))


def _columns(
    info: RunInfo, variants: pd.DataFrame
) -> tuple[tuple[ComparisonColumn, ...], list[int]]:
    """Return the columns, and the index of the column that each pair belongs to."""
    values = {axis: _axis_values(variants, axis) for axis in {pair.axis for pair in info.pairs}}
    indices: dict[ComparisonColumn, int] = {}
    column_of = [
        indices.setdefault(_column(pair, values[pair.axis], info), len(indices))
        for pair in info.pairs
    ]
    return tuple(indices), column_of


def _axis_values(variants: pd.DataFrame, axis: str) -> dict[str, Any]:
    if axis == "per_replica_batch_size":
        replicas = variants["workers"] * variants["replicas"]
        return by_variant(variants["global_batch_size"] // replicas)
    return by_variant(variants[axis])


def _column(pair: Pair, values: dict[str, Any], info: RunInfo) -> ComparisonColumn:
    if pair.baseline_id in values:
        value = values[pair.baseline_id]
    else:  # no trial of the baseline has a record yet
        value = next(_suite_baselines(info.suite.get("compare", ()), pair.axis), pair.baseline_id)
    return ComparisonColumn(
        pair.axis, str(value).lower() if isinstance(value, bool) else str(value)
    )


def _suite_baselines(comparisons: Iterable[dict[str, Any]], axis: str) -> Iterator[Any]:
    return (c["baseline"] for c in comparisons if c["axis"] == axis)
