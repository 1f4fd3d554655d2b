"""Measure scaling efficiency over several devices, and the time that communication takes.

Usage:
    scaled = scaling(trials, settings, blocks)       # arguments as in ``compare``
    scaled[variant_id].shares["weak_over_one_device"].value

Efficiency is the throughput over N times that of one device, where N is the number of replicas.
Strong scaling: the baseline has the same global batch; weak scaling: the same batch per replica.
Each is measured against the same strategy with one replica, which excludes the cost of the strategy
itself, and against no strategy, which includes it. The share of communication is (t - t_none) / t,
for the same variant with and without it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bench.analysis.comparison.compare import Comparison, compare
from bench.analysis.comparison.planned_blocks import BlocksByVariant
from bench.analysis.loading.trial_filters import examples_used
from bench.analysis.statistics.design_matrix import SETTINGS
from bench.analysis.statistics.intervals import Ratio
from bench.analysis.statistics.turn_ratios import Windows
from bench.spec.axis_groups import FREE_IN_SCALING
from bench.spec.pairing import Pair

COLUMNS = (
    "strong_over_same_strategy",
    "strong_over_one_device",
    "weak_over_same_strategy",
    "weak_over_one_device",
    "communication",
)
_JITS = ("none", "step", "epoch")

_Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Share:
    """A fraction, where 1 is full efficiency or all of the time, with its 95 % interval."""

    value: float
    low: float | None
    high: float | None
    comparison: Comparison
    """The comparison it was computed from."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """The known shares of a variant, by name in ``COLUMNS``."""

    shares: dict[str, Share] = field(default_factory=dict)
    baseline_of: set[str] = field(default_factory=set)
    transports: tuple[str, ...] = ()
    """How NCCL transferred data, over all trials; empty if it did not or is not recorded."""


@dataclass(frozen=True, slots=True)
class _PlannedShare:
    column: str
    pair: Pair
    ideal: float
    """Epoch time over the baseline's if all devices were fully used."""


def varies_replicas(workers: Sequence[int], replicas: Sequence[int]) -> bool:
    """Return whether any trial has several replicas; otherwise there is no scaling."""
    return any(w * r > 1 for w, r in zip(workers, replicas, strict=True))


def scaling(
    trials: pd.DataFrame,
    settings: Sequence[Mapping[str, Any]],
    blocks: BlocksByVariant,
    turns: Windows | None = None,
) -> dict[str, Scaling]:
    """Return the scaling by variant id; empty if no trial has several replicas.

    ``turns`` is as for ``compare``.
    """
    if not varies_replicas(trials["workers"].tolist(), trials["replicas"].tolist()):
        return {}
    first_rows = trials.drop_duplicates("variant_id")
    rows = [
        dict(zip(first_rows.columns, row, strict=True))
        for row in first_rows.itertuples(index=False)
    ]
    planned = [*_efficiencies(rows), *_communications(rows)]
    transports = _transports(trials, settings)
    by_variant = {
        row["variant_id"]: Scaling(transports=tuple(sorted(transports.get(row["variant_id"], ()))))
        for row in rows
    }
    comparisons = compare(trials, settings, [plan.pair for plan in planned], blocks, turns=turns)
    for plan, comparison in zip(planned, comparisons, strict=True):
        by_variant[plan.pair.baseline_id].baseline_of.add(plan.column)
        if comparison.ratio is not None:
            to_share = _communication_share if plan.column == "communication" else _efficiency
            share = Share(*to_share(comparison.ratio, plan.ideal), comparison)
            by_variant[plan.pair.variant_id].shares[plan.column] = share
    return by_variant


def _transports(trials: pd.DataFrame, settings: Sequence[Mapping[str, Any]]) -> dict[str, set[str]]:
    by_variant: dict[str, set[str]] = {}
    for variant_id, code in zip(trials["variant_id"], trials["settings"], strict=True):
        transports = settings[code].get("nccl_transport")
        # Records can come from other people, so the type is not certain.
        by_variant.setdefault(variant_id, set()).update(
            map(str, transports if isinstance(transports, list) else ())
        )
    return by_variant


def _efficiencies(rows: Sequence[_Row]) -> Iterator[_PlannedShare]:
    single = {
        (
            _scaling_key(row),
            row["strategy"],
            row["jit"],
            row["global_batch_size"],
        ): row
        for row in rows
        if _replicas(row) == 1
    }
    for row in rows:
        batches = {"strong": row["global_batch_size"]}
        batches["weak"] = row["global_batch_size"] // _replicas(row)
        strategies = {"same_strategy": row["strategy"], "one_device": "one_device"}
        for kind, batch in batches.items():
            for name, strategy in strategies.items():
                baseline = _find_baseline(single, _scaling_key(row), strategy, row["jit"], batch)
                if baseline is not None and baseline["variant_id"] != row["variant_id"]:
                    ideal = examples_used(row) / examples_used(baseline) / _replicas(row)
                    pair = _pair("scaling", row, baseline)
                    yield _PlannedShare(f"{kind}_over_{name}", pair, ideal)


def _communications(rows: Sequence[_Row]) -> Iterator[_PlannedShare]:
    # Without communication nothing is summed, so the way of summing has no effect.
    free = {"communication", "synchronized", "all_reduce"}
    silent = {_settings_key(row, free): row for row in rows if row["communication"] == "none"}
    for row in rows:
        without = silent.get(_settings_key(row, free))
        if without is not None and row["communication"] == "full":
            yield _PlannedShare("communication", _pair("communication", row, without), 1.0)


def _find_baseline(
    single: Mapping[Any, _Row], key: Any, strategy: str, jit: str, batch: int
) -> _Row | None:
    """Return the baseline with the same JIT, or else with another JIT, which is then flagged."""
    rows = (single.get((key, strategy, j, batch)) for j in (jit, *_JITS))
    return next((row for row in rows if row is not None), None)


def _efficiency(ratio: Ratio, ideal: float) -> tuple[float, float | None, float | None]:
    low = None if ratio.high is None else ideal / ratio.high
    high = None if ratio.low is None else ideal / ratio.low
    return ideal / ratio.value, low, high


def _communication_share(ratio: Ratio, _: float) -> tuple[float, float | None, float | None]:
    low = None if ratio.low is None else 1 - 1 / ratio.low
    high = None if ratio.high is None else 1 - 1 / ratio.high
    return 1 - 1 / ratio.value, low, high


def _pair(axis: str, row: _Row, baseline: _Row) -> Pair:
    return Pair(axis=axis, variant_id=row["variant_id"], baseline_id=baseline["variant_id"])


def _scaling_key(row: _Row) -> tuple[str, ...]:
    return _settings_key(row, FREE_IN_SCALING)


def _settings_key(row: _Row, free: Collection[str]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in SETTINGS if name not in free)


def _replicas(row: _Row) -> int:
    return int(row["workers"] * row["replicas"])
