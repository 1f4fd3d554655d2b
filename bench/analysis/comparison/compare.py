"""Every comparison that a suite asks for, made within blocks, all of them at once.

Usage:
    trials = with_sessions(load_trials(run), calls).assign(settings=...)  # which it ran with
    comparisons = compare(trials, settings, pairs, blocks=5)   # one a pair, in their order

A block counts where both trials completed, and settled, in the same invocation. Of a block
with one of the two missing neither is used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.comparison.confounds import Confound, confounds
from bench.analysis.comparison.matched_pairs import is_usable
from bench.analysis.statistics.paired import Ratio, ratio
from bench.spec.expand import Pair
from bench.spec.variant import Variant

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Comparison:
    """Epoch time of a variant over that of its baseline, and what to know of it."""

    ratio: Ratio | None
    """None where no block holds both."""
    dropped_blocks: int
    """Blocks of which one trial, or both, did not complete."""
    split_blocks: int
    """Blocks whose trials ran in different invocations: left out too."""
    unsettled_blocks: int
    """Blocks of which a trial completed but has no one time: left out too. See ``steady``."""
    confounds: tuple[Confound, ...]


SCALING = ("strategy", "workers", "replicas", "global_batch_size")
"""The axes in which a variant and what its scaling is measured against differ."""

_ARM = ["variant_id", "block", "invocation", "session", "epoch_s", "settings", "settled"]
_Settings = Sequence[Mapping[str, Any]]


def compare(
    trials: "pd.DataFrame", settings: _Settings, pairs: Sequence[Pair], blocks: int
) -> list[Comparison]:
    """The comparison of each of ``pairs``, of which ``blocks`` blocks were planned."""
    import numpy as np

    if not pairs:
        return []
    both = _blocks_with_both(trials, pairs)
    timed = both["settled"] & both["settled_b"]
    split = timed & (both["invocation"] != both["invocation_b"])
    used = both[timed & ~split]
    used = used.assign(log=np.log(used["epoch_s"] / used["epoch_s_b"]))
    n_used, n_split, n_unsettled = (
        rows.groupby("pair").size().reindex(range(len(pairs)), fill_value=0).tolist()
        for rows in (used, both[split], both[~timed])
    )
    ratios = _ratios(used, n_used)
    flagged = _confounds(trials, settings, pairs, used)
    return [
        Comparison(
            ratio=ratios.get(i),
            dropped_blocks=blocks - n_used[i] - n_split[i] - n_unsettled[i],
            split_blocks=n_split[i],
            unsettled_blocks=n_unsettled[i],
            confounds=flagged.get(i, ()),
        )
        for i in range(len(pairs))
    ]


def units(frame: "pd.DataFrame", key: str, column: str) -> "pd.DataFrame":
    """The values over which an interval of ``column`` is taken, for each ``key``.

    One a row; where the rows of a key come from several sessions, one a session: rows of a
    session share its conditions, and are not independent of each other.
    """
    import pandas as pd

    rows = frame[[key, "session", column]].dropna(subset=[column])
    if rows["session"].nunique() < 2:
        return rows
    means = rows.groupby([key, "session"], sort=False)[column].mean().reset_index()
    several = means[means[key].duplicated(keep=False)]
    return pd.concat([rows[~rows[key].isin(several[key])], several])


def moments(frame: "pd.DataFrame", key: str, column: str) -> "pd.DataFrame":
    """Columns count, mean and std (ddof 1) of ``column`` for each ``key``, the index."""
    return frame.groupby(key, sort=False)[column].agg(["count", "mean", "std"])


def _blocks_with_both(trials: "pd.DataFrame", pairs: Sequence[Pair]) -> "pd.DataFrame":
    """One row for each pair and block in which both arms completed; ``_b`` is the baseline."""
    import pandas as pd

    arms = trials.assign(settled=is_usable(trials)).loc[trials["status"] == "completed", _ARM]
    asked = pd.DataFrame(
        {
            "pair": range(len(pairs)),
            "variant_id": pd.Series([p.variant_id for p in pairs], dtype="str"),
            "baseline_id": pd.Series([p.baseline_id for p in pairs], dtype="str"),
        }
    )
    baselines = arms.rename(columns={"variant_id": "baseline_id"})
    return asked.merge(arms, on="variant_id").merge(
        baselines, on=["baseline_id", "block"], suffixes=("", "_b")
    )


def _ratios(used: "pd.DataFrame", n_used: list[int]) -> dict[int, Ratio]:
    sessions = used.groupby("pair")["session"].nunique().to_dict()
    found = moments(units(used, "pair", "log"), "pair", "log")
    return {
        int(pair): ratio(int(n), float(mean), float(deviation), n_used[pair], sessions[pair])
        for pair, n, mean, deviation in found.itertuples()
    }


def _confounds(
    trials: "pd.DataFrame", settings: _Settings, pairs: Sequence[Pair], used: "pd.DataFrame"
) -> dict[int, tuple[Confound, ...]]:
    differing = used.loc[used["settings"] != used["settings_b"], ["pair", "settings", "settings_b"]]
    asked = trials.drop_duplicates("variant_id").set_index("variant_id")
    found: dict[int, dict[str, Confound]] = {}
    for index, ours, theirs in differing.drop_duplicates().itertuples(index=False):
        axes = _compared_axes(pairs[index], asked)
        flagged = confounds(axes, settings[ours], settings[theirs])
        found.setdefault(index, {}).update({repr(c): c for c in flagged})
    return {index: tuple(each.values()) for index, each in found.items() if each}


def _compared_axes(pair: Pair, asked: "pd.DataFrame") -> set[str]:
    """The axes that a comparison is about: of listed variants, all in which they differ."""
    if pair.axis == "scaling":
        return set(SCALING)
    if pair.axis != "label":
        return {pair.axis}
    ours, theirs = asked.loc[pair.variant_id], asked.loc[pair.baseline_id]
    return {name for name in Variant.model_fields if str(ours[name]) != str(theirs[name])}
