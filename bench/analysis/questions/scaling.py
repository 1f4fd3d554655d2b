"""How much of what more devices could give they give, and how much communication takes.

Usage:
    found = scaling(trials, settings, blocks)       # arguments of ``compare``
    found[variant_id].shares["weak_over_one_device"].value

Efficiency is throughput over N times that of one device, N being all replicas. Strong: the
baseline has the same global batch; weak: the same batch per replica. Each against the same
strategy with one replica, which leaves the strategy's own cost out, and against no strategy
at all, which has it in. The share of communication is (t - t_none) / t, of the same variant
with and without it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.analysis.comparison.compare import SCALING, Comparison, compare
from bench.analysis.comparison.matched_pairs import SETTINGS, examples_used
from bench.analysis.statistics.paired import Ratio
from bench.spec.expand import Pair

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "strong_over_same_strategy",
    "strong_over_one_device",
    "weak_over_same_strategy",
    "weak_over_one_device",
    "communication",
)
_FREE = {*SCALING, "synchronized", "placement", "communication", "all_reduce", "jit"}
"""Axes that may differ from the baseline: with one replica the middle ones cannot act."""
_JITS = ("none", "step", "epoch")

_Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole, 1 being all of it, with its 95 % interval, None where n is 1."""

    value: float
    low: float | None
    high: float | None
    comparison: Comparison
    """What it was made from."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """What is known of a variant in each of ``COLUMNS``; what is not in there is not known."""

    shares: dict[str, Share] = field(default_factory=dict)
    baseline_of: set[str] = field(default_factory=set)
    transports: tuple[str, ...] = ()
    """The ways by which NCCL summed, of all trials; empty where it did not or none is known."""


@dataclass(frozen=True, slots=True)
class _Asked:
    column: str
    pair: Pair
    ideal: float
    """Epoch time over the baseline's if all devices were fully used."""


def varies_replicas(workers: Sequence[int], replicas: Sequence[int]) -> bool:
    """Whether some trial has several replicas: only then is there anything to scale."""
    return any(w * r > 1 for w, r in zip(workers, replicas, strict=True))


def scaling(
    trials: "pd.DataFrame", settings: Sequence[Mapping[str, Any]], blocks: int
) -> dict[str, Scaling]:
    """By variant id; empty where no trial of ``trials`` has several replicas."""
    if not varies_replicas(trials["workers"].tolist(), trials["replicas"].tolist()):
        return {}
    firsts = trials.drop_duplicates("variant_id")
    rows = [dict(zip(firsts.columns, row, strict=True)) for row in firsts.itertuples(index=False)]
    asked = [*_efficiencies(rows), *_communications(rows)]
    ways = _transports(trials, settings)
    found = {
        row["variant_id"]: Scaling(transports=tuple(sorted(ways.get(row["variant_id"], ()))))
        for row in rows
    }
    comparisons = compare(trials, settings, [each.pair for each in asked], blocks)
    for each, comparison in zip(asked, comparisons, strict=True):
        found[each.pair.baseline_id].baseline_of.add(each.column)
        if comparison.ratio is not None:
            of_column = _lost if each.column == "communication" else _efficiency
            share = Share(*of_column(comparison.ratio, each.ideal), comparison)
            found[each.pair.variant_id].shares[each.column] = share
    return found


def _transports(
    trials: "pd.DataFrame", settings: Sequence[Mapping[str, Any]]
) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for variant_id, code in zip(trials["variant_id"], trials["settings"], strict=True):
        ways = settings[code].get("nccl_transport")
        # A record may come from anybody.
        found.setdefault(variant_id, set()).update(map(str, ways if isinstance(ways, list) else ()))
    return found


def _efficiencies(rows: Sequence[_Row]) -> Iterator[_Asked]:
    alone = {
        (_key(row, _FREE), row["strategy"], row["jit"], row["global_batch_size"]): row
        for row in rows
        if _replicas(row) == 1
    }
    for row in rows:
        batches = {"strong": row["global_batch_size"]}
        batches["weak"] = row["global_batch_size"] // _replicas(row)
        strategies = {"same_strategy": row["strategy"], "one_device": "one_device"}
        for kind, batch in batches.items():
            for name, strategy in strategies.items():
                baseline = _first(alone, _key(row, _FREE), strategy, row["jit"], batch)
                if baseline is not None and baseline["variant_id"] != row["variant_id"]:
                    ideal = examples_used(row) / examples_used(baseline) / _replicas(row)
                    pair = _pair("scaling", row, baseline)
                    yield _Asked(f"{kind}_over_{name}", pair, ideal)


def _communications(rows: Sequence[_Row]) -> Iterator[_Asked]:
    # Without communication neither statistics nor gradients are summed, in whatever way.
    free = {"communication", "synchronized", "all_reduce"}
    silent = {_key(row, free): row for row in rows if row["communication"] == "none"}
    for row in rows:
        without = silent.get(_key(row, free))
        if without is not None and row["communication"] == "full":
            yield _Asked("communication", _pair("communication", row, without), 1.0)


def _first(alone: Mapping[Any, _Row], key: Any, strategy: str, jit: str, batch: int) -> _Row | None:
    """The baseline compiled alike, else one compiled otherwise, which is then flagged."""
    found = (alone.get((key, strategy, j, batch)) for j in (jit, *_JITS))
    return next((row for row in found if row is not None), None)


def _efficiency(ratio: Ratio, ideal: float) -> tuple[float, float | None, float | None]:
    low = None if ratio.high is None else ideal / ratio.high
    high = None if ratio.low is None else ideal / ratio.low
    return ideal / ratio.value, low, high


def _lost(ratio: Ratio, _: float) -> tuple[float, float | None, float | None]:
    low = None if ratio.low is None else 1 - 1 / ratio.low
    high = None if ratio.high is None else 1 - 1 / ratio.high
    return 1 - 1 / ratio.value, low, high


def _pair(axis: str, row: _Row, baseline: _Row) -> Pair:
    return Pair(axis=axis, variant_id=row["variant_id"], baseline_id=baseline["variant_id"])


def _key(row: _Row, free: set[str]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in SETTINGS if name not in free)


def _replicas(row: _Row) -> int:
    return int(row["workers"] * row["replicas"])
