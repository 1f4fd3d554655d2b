"""Say how a run with a precision ended, and what its last look at the intervals saw.

Usage:
    stopping_text(summary.stopping, labels)     # labels by variant id
    further_text(stopping)                      # while the run goes on
"""

from collections.abc import Mapping

from bench.analysis.statistics.intervals import CONFIDENCE
from bench.records.stopping_record import Stopping
from bench.report.text.number_text import duration, percent, plural

_MAX_NAMED = 5
"""How many comparisons that were left out are named."""


def stopping_text(stopping: Stopping, labels: Mapping[str, str]) -> str:
    """Return sentences: the rule, the widths, the comparisons left out, the confidence."""
    texts = [ending_text(stopping)]
    if stopping.rule != "no_comparison":
        texts.append(f"{_widths(stopping, labels)}.")
        if stopping.rule != "precision" and stopping.needed_blocks is not None:
            needed = plural(stopping.needed_blocks, "block")
            texts.append(f"With this noise it takes about {needed} in all.")
    if stopping.left_out:
        texts.append(
            f"Left out, because fewer than half of their blocks count: {_names(stopping, labels)}."
        )
    if stopping.comparisons and stopping.confidence != CONFIDENCE:
        texts.append(
            f"Stopping on the width of so few comparisons makes intervals too narrow, so each is "
            f"a t interval at {percent(stopping.confidence)}, which covers 95 % in such runs."
        )
    return " ".join(texts)


def further_text(stopping: Stopping) -> str:
    """Return why blocks are added, how many, and how many it may take in all."""
    likely = stopping.needed_blocks
    if likely is None or likely > stopping.max_blocks:
        total = f"up to {stopping.max_blocks}"
    else:
        total = f"about {likely}"
    return (
        f"{plural(stopping.blocks, 'block')}: ratios are precise to ±{percent(stopping.half_width)}"
        f", wanted ±{percent(stopping.precision)}: {stopping.further_blocks} more, {total} in all"
    )


def ending_text(stopping: Stopping) -> str:
    """Return a sentence about the rule that ended the run."""
    blocks, wanted = plural(stopping.blocks, "block"), f"±{percent(stopping.precision)}"
    if stopping.rule is None:
        more = stopping.further_blocks
        return (
            f"The run has not ended: after {blocks}, ratios were not yet precise to {wanted}. "
            f"--resume adds {more}."
        )
    if stopping.rule == "precision":
        return f"The run ended after {blocks}, when ratios were precise to {wanted}."
    if stopping.rule == "no_comparison":
        return f"The run ended after {blocks}: it has no comparison whose interval could narrow."
    limit = "max_blocks"
    if stopping.rule == "max_time":
        limit = f"--max-time ({duration(stopping.max_time_s)})"
    return f"{limit} ended the run after {blocks}, before ratios were precise to {wanted}."


def _widths(stopping: Stopping, labels: Mapping[str, str]) -> str:
    text = (
        f"A block's log ratio has a standard deviation of {percent(stopping.deviation)}, pooled "
        f"over {plural(stopping.comparisons, 'comparison')}, which gives intervals of "
        f"±{percent(stopping.half_width)}"
    )
    pair = stopping.widest_pair
    if pair is None or stopping.comparisons < 2:
        return text
    label = labels.get(pair.variant_id, pair.variant_id)
    return f"{text}; the widest by its own deviation is ±{percent(stopping.widest)} ({label})"


def _names(stopping: Stopping, labels: Mapping[str, str]) -> str:
    ids = [pair.variant_id for pair in stopping.left_out]
    names = [labels.get(variant_id, variant_id) for variant_id in dict.fromkeys(ids)]
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
