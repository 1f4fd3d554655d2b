"""Match trials that differ only in one axis, within blocks, and count what is not used.

Usage:
    trials = with_sessions(load_trials(run), invocations)
    pairs = match_pairs(trials, "norm", "bn_post", "none")
    pairs.loc[pairs["used"], "log"]               # log of the ratio of epoch times, one per block
    count_blocks(pairs)                           # BlockCounts(planned=5, used=4, ...)

Trials are matched by their settings, not by the suite's list, so any column may be the axis. A
block in which one trial cannot be used is dropped entirely. Two trials match within a part of their
group; if several parts have both, the first that can be used gives the block's value.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analysis.comparison.block_values import block_logs
from bench.analysis.loading.trial_filters import is_timed, is_unsteady
from bench.analysis.statistics.design_matrix import SETTINGS, varying
from bench.analysis.statistics.session_units import ensure_sessions
from bench.analysis.statistics.turn_ratios import Windows
from bench.spec.axes import AXES
from bench.spec.axis_groups import FOLLOWS_REPLICAS, LENGTH_AXES

_BASELINE_COLUMNS = ("variant_id", "invocation", "status", "epoch_s", "timed", "unsteady", "row")
_TRIAL_COLUMNS = ("variant_id", "block", "part", "session", "invocation", "status", "epoch_s")


@dataclass(frozen=True, slots=True)
class BlockCounts:
    """How many of the planned blocks of two arms were used, and why the others were not."""

    planned: int
    used: int
    split: int
    """Blocks whose trials ran in different invocations."""
    unsettled: int
    """Used blocks with a trial whose epochs drifted or never settled: a mark, no exclusion."""
    statuses: Mapping[str, int]
    """Trials, of either arm, that did not complete."""


def match_pairs(
    trials: pd.DataFrame, axis: str, value: str, baseline: str, turns: Windows | None = None
) -> pd.DataFrame:
    """Return one row per block and setting for which both values of ``axis`` were planned.

    The columns are those of the trial with ``value``: settings, block, session and what ``used``
    depends on; the columns of the baseline trial end in ``_b``. ``log`` is the log ratio of epoch
    times, NaN where ``used`` is false. Without a column "session", each invocation is one.
    ``turns`` has the windows of trials that took turns, by their index in ``trials``.
    """
    keys = [n for n in varying(trials) if axis not in (n, AXES[n].acts_through)]
    on_block = [*keys, "block"]
    on = [*on_block, "part"]
    # Only the needed columns: a million trials with all columns, twice, would fill the memory.
    columns = [n for n in (*SETTINGS, *_TRIAL_COLUMNS) if n in trials]
    arms = ensure_sessions(trials[columns]).assign(
        timed=is_timed(trials), unsteady=is_unsteady(trials), row=trials.index
    )
    values = arms[axis].astype("str")
    baselines = arms.loc[values == baseline, [*on, *_BASELINE_COLUMNS]]
    both = arms[values == value].merge(_with_suffix(baselines, on), on=on)
    ready = both["timed"] & both["timed_b"]
    both["split"] = ready & (both["invocation"] != both["invocation_b"])
    log = pd.Series(block_logs(both, turns)["log"], index=both.index)
    both["used"] = ready & ~both["split"] & log.notna()
    both = both.assign(log=log.where(both["used"]))
    used_first = both.sort_values(["used", "part"], ascending=[False, True], kind="stable")
    return used_first.drop_duplicates(on_block).sort_index()


def count_blocks(pairs: pd.DataFrame) -> BlockCounts:
    """Count the blocks of ``pairs``, rows of ``match_pairs``."""
    statuses = Counter([*pairs["status"], *pairs["status_b"]])
    return BlockCounts(
        planned=len(pairs),
        used=int(pairs["used"].sum()),
        split=int(pairs["split"].sum()),
        unsettled=int((pairs["used"] & (pairs["unsteady"] | pairs["unsteady_b"])).sum()),
        statuses={s: n for s, n in sorted(statuses.items()) if s != "completed"},
    )


def matched_groups(
    trials: pd.DataFrame, axis: str, baseline: str, along: str, turns: Windows | None = None
) -> Iterator[tuple[str, dict[str, str], pd.DataFrame]]:
    """Yield each other value of ``axis``, each setting of the axes but ``along``, and its pairs."""
    for value in trials[axis].astype("str").unique():
        if value != baseline:
            pairs = match_pairs(trials, axis, value, baseline, turns)
            for settings, rows in _group_by_settings(pairs, axis, along):
                yield value, settings, rows


def _group_by_settings(
    pairs: pd.DataFrame, axis: str, along: str
) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """Group ``pairs`` by all settings but ``axis`` and ``along``, with what distinguishes each.

    Settings that a suite may change with the size are ignored if each size has one value of them:
    they do not make it another experiment.
    """
    ignored = {axis, along}
    follow = LENGTH_AXES | (FOLLOWS_REPLICAS if along == "replicas" else frozenset())
    ignored |= {n for n in follow if (pairs.groupby(along)[n].nunique(dropna=False) < 2).all()}
    names = [name for name in varying(pairs) if name not in ignored]
    if not names:
        yield {}, pairs
        return
    for values, rows in pairs.groupby(names, sort=False, dropna=False):
        yield _settings_of(names, values), rows


def complete_blocks(pairs: pd.DataFrame, along: str) -> pd.DataFrame:
    """Return the used rows of ``pairs`` in blocks that contain every size, for lines over sizes.

    Sizes that fewer than half of the blocks contain are dropped first; otherwise a rare size could
    exclude every block.
    """
    used = pairs[pairs["used"]]
    blocks_at = used.groupby(along)["block"].nunique()
    sizes = blocks_at.index[blocks_at * 2 >= used["block"].nunique()]
    used = used[used[along].isin(sizes)]
    return used[used.groupby("block")[along].transform("nunique") == len(sizes)]


def _settings_of(names: list[str], values: Hashable) -> dict[str, str]:
    listed: Any = values
    return dict(zip(names, map(str, listed), strict=True))


def _with_suffix(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    return frame.rename(columns={n: f"{n}_b" for n in frame.columns if n not in keys})
