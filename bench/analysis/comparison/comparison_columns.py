"""The comparisons of a run as a table has them: a column for each axis and baseline.

Usage:
    found = comparison_cells(info, trials, raw, blocks=3)
    found.columns, found.of(variant_id), found.baseline_of(variant_id)
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.comparison.compare import Comparison, compare
from bench.analysis.loading.raw_records import RecordArrays
from bench.records.run_folder import RunInfo
from bench.spec.expand import Pair

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ComparisonColumn:
    """A comparison of a suite: the axis that differs, and its value in the baseline."""

    axis: str
    baseline: str


@dataclass(frozen=True)
class ComparisonCells:
    """The cells of a run's comparisons, and in which columns they stand."""

    columns: tuple[ComparisonColumn, ...]
    cells: dict[tuple[str, int], Comparison]
    """By variant and column."""
    baselines: frozenset[tuple[str, int]]

    def of(self, variant_id: str) -> tuple[Comparison | None, ...]:
        """One for each column."""
        return tuple(self.cells.get((variant_id, i)) for i in range(len(self.columns)))

    def baseline_of(self, variant_id: str) -> tuple[bool, ...]:
        """Whether it is the baseline itself, for each column."""
        return tuple((variant_id, i) in self.baselines for i in range(len(self.columns)))


def comparison_cells(
    info: RunInfo, trials: "pd.DataFrame", raw: RecordArrays, blocks: int
) -> ComparisonCells:
    """All that the suite of ``info`` asks for, of the last attempts ``trials``."""
    firsts = trials.drop_duplicates("variant_id").set_index("variant_id")
    columns, column_of = _columns(info, firsts)
    found = compare(trials, raw.settings, info.pairs, blocks)
    rows = list(zip(info.pairs, column_of, found, strict=True))
    return ComparisonCells(
        columns=columns,
        cells={(pair.variant_id, i): comparison for pair, i, comparison in rows},
        baselines=frozenset((pair.baseline_id, i) for pair, i, _ in rows),
    )


def by_variant(values: "pd.Series[Any]") -> dict[str, Any]:
    """A series with variant ids as its index, as plain values."""
    return dict(zip(values.index.tolist(), values.tolist(), strict=True))


def _columns(
    info: RunInfo, firsts: "pd.DataFrame"
) -> tuple[tuple[ComparisonColumn, ...], list[int]]:
    """The columns of comparisons, and to which of them each pair belongs."""
    values = {axis: _axis_values(firsts, axis) for axis in {pair.axis for pair in info.pairs}}
    indices: dict[ComparisonColumn, int] = {}
    column_of = [
        indices.setdefault(_column(pair, values[pair.axis], info), len(indices))
        for pair in info.pairs
    ]
    return tuple(indices), column_of


def _axis_values(firsts: "pd.DataFrame", axis: str) -> dict[str, Any]:
    if axis == "per_replica_batch_size":
        replicas = firsts["workers"] * firsts["replicas"]
        return by_variant(firsts["global_batch_size"] // replicas)
    return by_variant(firsts[axis])


def _column(pair: Pair, values: dict[str, Any], info: RunInfo) -> ComparisonColumn:
    if pair.baseline_id in values:
        value = values[pair.baseline_id]
    else:  # no trial of the baseline has a record yet
        value = next(_asked_baselines(info.suite.get("compare", ()), pair.axis), pair.baseline_id)
    return ComparisonColumn(
        pair.axis, str(value).lower() if isinstance(value, bool) else str(value)
    )


def _asked_baselines(comparisons: Iterable[dict[str, Any]], axis: str) -> Iterator[Any]:
    return (c["baseline"] for c in comparisons if c["axis"] == axis)
