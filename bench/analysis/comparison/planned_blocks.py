"""List the trials that a run has planned for each variant, by block.

Usage:
    blocks = blocks_by_variant(info.trial_ids)
    blocks_of(pair, blocks)                  # how many blocks have both arms of a pair
    sum(blocks[variant_id].values())         # the variant's trials

A run has further blocks in place of spoiled ones, so that variants may differ in their blocks.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from bench.records.anonymize import TRIAL_ID
from bench.spec.pairing import Pair

BlocksByVariant = Mapping[str, Mapping[int, int]]
"""The number of trials in each block, by variant id."""


def blocks_by_variant(trial_ids: Iterable[str]) -> BlocksByVariant:
    """Return the blocks of each variant; an id that no plan makes counts nowhere."""
    blocks: dict[str, Counter[int]] = {}
    for trial_id in trial_ids:
        if match := TRIAL_ID.fullmatch(trial_id):
            blocks.setdefault(match["variant_id"], Counter())[int(match["block"])] += 1
    return blocks


def blocks_of(pair: Pair, blocks: BlocksByVariant) -> int:
    """Return how many blocks have trials of both arms of ``pair``."""
    arm, baseline = (blocks.get(name, {}) for name in (pair.variant_id, pair.baseline_id))
    return len(arm.keys() & baseline.keys())
