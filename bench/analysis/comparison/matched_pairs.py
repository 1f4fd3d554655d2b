"""Pairs of trials that differ in one axis alone, within blocks, and what became of the rest.

Usage:
    trials = with_sessions(load_trials(run), calls)
    pairs = match_pairs(trials, "norm", "bn_post", "none")
    pairs.loc[pairs["used"], "log"]               # log of a ratio of epoch times, one a block
    count_blocks(pairs)                                # BlockCounts(planned=5, used=4, ...)

Pairs are found by their settings, not by a suite's list, so that any column may be the axis.
A block in which either trial cannot be used is dropped whole.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.statistics.steady_state import EXCLUDED
from bench.spec.inert_settings import OBSERVING
from bench.spec.variant import Variant

if TYPE_CHECKING:
    import pandas as pd

SETTINGS: tuple[str, ...] = tuple(n for n in Variant.model_fields if n not in OBSERVING)
FOLLOWS_SIZE = ("epochs", "warmup_epochs", "target_accuracy")
"""Settings that a suite may set by size without making another experiment of it."""
FOLLOWS_REPLICAS = ("strategy", "jit", "synchronized", "global_batch_size")
"""The same, where the size is the number of replicas."""
_FOLLOWS_AXIS = {"clip": ("clip_threshold",)}
"""Settings that act only through the axis."""
_OF_BASELINE = ("variant_id", "invocation", "status", "epoch_s", "settled")
_KEPT = ("variant_id", "block", "session", "invocation", "status", "epoch_s")


@dataclass(frozen=True, slots=True)
class BlockCounts:
    """What became of the blocks that were to hold both arms."""

    planned: int
    used: int
    split: int
    """Blocks whose trials ran in different sessions."""
    unsettled: int
    """Blocks of which a trial completed but never settled."""
    statuses: Mapping[str, int]
    """Trials, of either arm, that did not complete."""


def is_usable(trials: "pd.DataFrame") -> "pd.Series[bool]":
    """Which trials have a time that may enter a mean: completed, timed, and settled."""
    done = (trials["status"] == "completed") & (trials["epoch_s"] > 0)
    return done & ~trials["steady"].isin(EXCLUDED)


def examples_used(trials: Any) -> Any:
    """Examples that an epoch trains on, of a frame or one row: the rest fills no batch."""
    return trials["examples"] // trials["global_batch_size"] * trials["global_batch_size"]


def varying(trials: "pd.DataFrame", names: Collection[str] = SETTINGS) -> tuple[str, ...]:
    """Those of ``names`` that take several values in ``trials``."""
    return tuple(n for n in names if n in trials and trials[n].nunique(dropna=False) > 1)


def match_pairs(trials: "pd.DataFrame", axis: str, value: str, baseline: str) -> "pd.DataFrame":
    """One row for each block and setting in which both values of ``axis`` were to run.

    Columns are settings, block, session and what ``used`` depends on, of the trial with ``value``;
    those of the other end in ``_b``. ``log`` is the log ratio of epoch times, NaN where ``used``
    is false. Without a column "session", each invocation is one.
    """
    import numpy as np

    keys = [n for n in varying(trials) if n not in (axis, *_FOLLOWS_AXIS.get(axis, ()))]
    on = [*keys, "block"]
    # A million trials with all their columns, twice, would fill a machine's memory.
    kept = trials[[n for n in (*SETTINGS, *_KEPT) if n in trials]].assign(settled=is_usable(trials))
    if "session" not in kept:
        kept["session"] = kept["invocation"]
    names = kept[axis].astype("str")
    theirs = kept.loc[names == baseline, [*on, *_OF_BASELINE]]
    both = kept[names == value].merge(_with_suffix(theirs, on), on=on)
    ready = both["settled"] & both["settled_b"]
    both["split"] = ready & (both["invocation"] != both["invocation_b"])
    both["used"] = ready & ~both["split"]
    ratio = (both["epoch_s"] / both["epoch_s_b"]).where(both["used"])
    return both.assign(log=np.log(ratio))


def count_blocks(pairs: "pd.DataFrame") -> BlockCounts:
    """What became of the blocks of ``pairs``, rows of ``match_pairs``."""
    statuses = Counter([*pairs["status"], *pairs["status_b"]])
    done = (pairs["status"] == "completed") & (pairs["status_b"] == "completed")
    return BlockCounts(
        planned=len(pairs),
        used=int(pairs["used"].sum()),
        split=int(pairs["split"].sum()),
        unsettled=int((done & ~pairs["settled"] | done & ~pairs["settled_b"]).sum()),
        statuses={s: n for s, n in sorted(statuses.items()) if s != "completed"},
    )


def values_of(trials: "pd.DataFrame", axis: str, baseline: str) -> tuple[str, ...]:
    """The other values of ``axis``, in the order in which they were planned."""
    return tuple(v for v in trials[axis].astype("str").unique() if v != baseline)


def by_setting(
    pairs: "pd.DataFrame", axis: str, along: str
) -> "Iterator[tuple[dict[str, str], pd.DataFrame]]":
    """``pairs`` by all settings but ``axis`` and ``along``, each with those that tell it apart.

    Settings of ``FOLLOWS_SIZE`` do not count where each size has one value of them.
    """
    apart = {axis, along}
    follow = FOLLOWS_SIZE + (FOLLOWS_REPLICAS if along == "replicas" else ())
    apart |= {n for n in follow if (pairs.groupby(along)[n].nunique(dropna=False) < 2).all()}
    names = [name for name in varying(pairs) if name not in apart]
    if not names:
        yield {}, pairs
        return
    for values, rows in pairs.groupby(names, sort=False, dropna=False):
        yield _named(names, values), rows


def whole_blocks(pairs: "pd.DataFrame", along: str) -> "pd.DataFrame":
    """The used rows of ``pairs`` in blocks that hold every size, for lines over sizes.

    A size that less than half of the blocks hold is left out first, lest all blocks go.
    """
    used = pairs[pairs["used"]]
    held = used.groupby(along)["block"].nunique()
    sizes = held.index[held * 2 >= used["block"].nunique()]
    used = used[used[along].isin(sizes)]
    return used[used.groupby("block")[along].transform("nunique") == len(sizes)]


def _named(names: list[str], values: Hashable) -> dict[str, str]:
    listed: Any = values
    return dict(zip(names, map(str, listed), strict=True))


def _with_suffix(frame: "pd.DataFrame", keys: list[str]) -> "pd.DataFrame":
    return frame.rename(columns={n: f"{n}_b" for n in frame.columns if n not in keys})
