"""Make every comparison that a suite lists, within blocks, all of them at once.

Usage:
    trials = with_sessions(trials_frame(raw), invocations).assign(settings=raw.settings_code)
    blocks = blocks_by_variant(info.trial_ids)
    comparisons = compare(trials, raw.settings, pairs, blocks, turns=raw.turns)     # one a pair

A block counts if both trials completed with a time, in the same part and invocation. A block that
lacks one of the two uses neither. Its value is the median over rounds of the arms' ratio, or the
ratio of their median epochs if they took no turns (``turn_ratios``). Of arms that several parts
train together, a block uses the first part that has a value.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analysis.comparison.block_values import block_logs
from bench.analysis.comparison.confounds import Confound, confounds, declared_differences
from bench.analysis.comparison.planned_blocks import BlocksByVariant, blocks_of
from bench.analysis.loading.trial_filters import is_timed, is_unsteady
from bench.analysis.statistics.intervals import CONFIDENCE, Estimate, Ratio, ratio, t_interval
from bench.analysis.statistics.session_units import moments, session_units, within_sessions
from bench.analysis.statistics.turn_ratios import Windows
from bench.spec.axis_groups import SCALED_AXES
from bench.spec.pairing import Pair
from bench.spec.variant import Variant


@dataclass(frozen=True, slots=True)
class BlockRatio:
    """The epoch time of a variant over that of its baseline in one block."""

    block: int
    session: int
    ratio: float
    part: int = 0
    """The part of their group in which the two arms were compared."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The epoch time of a variant over that of its baseline, and what limits its meaning."""

    ratio: Ratio | None
    """None if no block has both trials. With several sessions, the interval is between them."""
    within_sessions: Estimate | None
    """The same ratio with the interval that the noise within sessions gives; None in one session,
    or if none has two blocks."""
    block_ratios: tuple[BlockRatio, ...]
    """Of the used blocks, in order."""
    planned_blocks: int
    """Blocks of both arms, with those that replace spoiled ones."""
    dropped_blocks: int
    """Blocks in which one trial, or both, did not complete, has no time, or took no turns although
    the other did: it was tried again alone."""
    split_blocks: int
    """Blocks whose trials ran in different invocations; not used either."""
    unsettled_blocks: int
    """Used blocks with a trial whose epochs drifted or never settled (``steady_state``)."""
    sequential_blocks: int
    """Used blocks whose trials recorded that they ran one after another."""
    confounds: tuple[Confound, ...]
    declared: tuple[Confound, ...] = ()
    """In what the arms differ because their environments do."""


_ARM = [
    *("variant_id", "block", "part", "invocation", "session", "epoch_s", "examples"),
    *("settings", "unsteady", "row"),
]
_BLOCK = ["pair", "block"]
_Settings = Sequence[Mapping[str, Any]]


def compare(
    trials: pd.DataFrame,
    settings: _Settings,
    pairs: Sequence[Pair],
    blocks: BlocksByVariant,
    confidence: float = CONFIDENCE,
    turns: Windows | None = None,
) -> list[Comparison]:
    """Compare each of ``pairs``.

    ``blocks`` are the planned ones. ``confidence`` is the nominal one of each ratio's interval.
    ``turns`` has the windows of trials that took turns, by their index in ``trials``.
    """
    if not pairs:
        return []
    both = _blocks_with_both(trials, pairs)
    is_split = both["invocation"] != both["invocation_b"]
    used = _one_per_block(_with_log(both[~is_split], turns))
    split = _blocks_not_in(used, both[is_split])
    unsteady = used[used["unsteady"] | used["unsteady_b"]]
    sequential = used[(used["rounds"] == 0) & _in_sequence(used, settings)]
    n_used, n_split, n_unsettled, n_sequential = (
        rows.groupby("pair").size().reindex(range(len(pairs)), fill_value=0).tolist()
        for rows in (used, split, unsteady, sequential)
    )
    n_planned = [blocks_of(pair, blocks) for pair in pairs]
    ratios = _ratios(used, n_used, confidence)
    within, block_ratios = _within(used), _block_ratios(used)
    confounds_of, declared_of = (
        _setting_differences(find, trials, settings, pairs, used)
        for find in (confounds, declared_differences)
    )
    return [
        Comparison(
            ratio=ratios.get(i),
            within_sessions=within.get(i),
            block_ratios=block_ratios.get(i, ()),
            planned_blocks=n_planned[i],
            dropped_blocks=n_planned[i] - n_used[i] - n_split[i],
            split_blocks=n_split[i],
            unsettled_blocks=n_unsettled[i],
            sequential_blocks=n_sequential[i],
            confounds=confounds_of.get(i, ()),
            declared=declared_of.get(i, ()),
        )
        for i in range(len(pairs))
    ]


def log_ratios(
    trials: pd.DataFrame, pairs: Sequence[Pair], turns: Windows | None = None
) -> pd.DataFrame:
    """Return the log ratio of each of ``pairs`` in each block that ``compare`` uses.

    The columns are pair (an index in ``pairs``), variant_id, baseline_id, block, part, session and
    log.
    """
    both = _blocks_with_both(trials, pairs)
    used = _one_per_block(_with_log(both[both["invocation"] == both["invocation_b"]], turns))
    return used[["pair", "variant_id", "baseline_id", "block", "part", "session", "log"]]


def _blocks_with_both(trials: pd.DataFrame, pairs: Sequence[Pair]) -> pd.DataFrame:
    """Return a row per pair and part of a block in which both arms have a time.

    ``_b`` marks the columns of the baseline.
    """
    arms = trials.assign(unsteady=is_unsteady(trials), row=trials.index)
    arms = arms.loc[is_timed(trials), _ARM]
    planned = pd.DataFrame(
        {
            "pair": range(len(pairs)),
            "variant_id": pd.Series([p.variant_id for p in pairs], dtype="str"),
            "baseline_id": pd.Series([p.baseline_id for p in pairs], dtype="str"),
        }
    )
    baselines = arms.rename(columns={"variant_id": "baseline_id"})
    return planned.merge(arms, on="variant_id").merge(
        baselines, on=["baseline_id", "block", "part"], suffixes=("", "_b")
    )


def _with_log(both: pd.DataFrame, turns: Windows | None) -> pd.DataFrame:
    """Return the rows that have a value, with its log and the rounds that it is the median of."""
    return both.assign(**block_logs(both, turns)).dropna(subset=["log"])


def _one_per_block(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the row of the first part of each pair and block."""
    return rows.sort_values("part", kind="stable").drop_duplicates(_BLOCK).sort_index()


def _blocks_not_in(used: pd.DataFrame, split: pd.DataFrame) -> pd.DataFrame:
    """Return a row per pair and block of ``split`` that no part of ``used`` has."""
    of_used = pd.MultiIndex.from_frame(used[_BLOCK])
    rows = split.drop_duplicates(_BLOCK)
    return rows[~pd.MultiIndex.from_frame(rows[_BLOCK]).isin(of_used)]


def _in_sequence(used: pd.DataFrame, settings: _Settings) -> "pd.Series[bool]":
    """Return which rows are of trials that recorded that they took no turns."""
    in_sequence = [code for code, each in enumerate(settings) if each.get("turns") == "trial"]
    return used["settings"].isin(in_sequence)


def _ratios(used: pd.DataFrame, n_used: list[int], confidence: float) -> dict[int, Ratio]:
    sessions = used.groupby("pair")["session"].nunique().to_dict()
    by_pair = moments(session_units(used, "pair", "log"), "pair", "log")
    return {
        int(pair): ratio(
            int(n), float(mean), float(deviation), n_used[pair], sessions[pair], confidence
        )
        for pair, n, mean, deviation in by_pair.itertuples()
    }


def _within(used: pd.DataFrame) -> dict[int, Estimate]:
    return {
        int(pair): t_interval(float(mean), float(error), int(df), int(blocks))
        for pair, mean, error, df, blocks in within_sessions(used, "pair", "log").itertuples()
    }


def _block_ratios(used: pd.DataFrame) -> dict[int, tuple[BlockRatio, ...]]:
    by_pair: dict[int, list[BlockRatio]] = {}
    columns = used.sort_values("block")[["pair", "block", "session", "log", "part"]]
    for pair, block, session, log, part in columns.itertuples(index=False):
        by_pair.setdefault(pair, []).append(BlockRatio(block, session, math.exp(log), part))
    return {pair: tuple(ratios) for pair, ratios in by_pair.items()}


def _setting_differences(
    find: Callable[..., tuple[Confound, ...]],
    trials: pd.DataFrame,
    settings: _Settings,
    pairs: Sequence[Pair],
    used: pd.DataFrame,
) -> dict[int, tuple[Confound, ...]]:
    """Return what ``find`` finds in the settings of any block's arms, each once, by pair."""
    differing = used.loc[used["settings"] != used["settings_b"], ["pair", "settings", "settings_b"]]
    variants = trials.drop_duplicates("variant_id").set_index("variant_id")
    by_pair: dict[int, dict[str, Confound]] = {}
    for index, code, baseline_code in differing.drop_duplicates().itertuples(index=False):
        axes = _compared_axes(pairs[index], variants)
        found = find(axes, settings[code], settings[baseline_code])
        by_pair.setdefault(index, {}).update({repr(c): c for c in found})
    return {index: tuple(each.values()) for index, each in by_pair.items() if each}


def _compared_axes(pair: Pair, variants: pd.DataFrame) -> set[str]:
    """Return the axes that a comparison is about; for listed variants, all in which they differ."""
    if pair.axis == "scaling":
        return set(SCALED_AXES)
    if pair.axis != "label":
        return {pair.axis}
    variant, baseline = variants.loc[pair.variant_id], variants.loc[pair.baseline_id]
    return {name for name in Variant.model_fields if str(variant[name]) != str(baseline[name])}
