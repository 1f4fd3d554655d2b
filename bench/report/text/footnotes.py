"""Write footnotes: what a reader must know about a table or a cell before trusting it.

Usage:
    notes = Footnotes()
    numbers = notes.of(of_trials(variant))        # (1,); equal texts get equal numbers
    notes.texts                                   # ("1 of 3 trials failed: ...",)
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from bench.analysis.comparison.compare import Comparison
from bench.analysis.comparison.confounds import Confound
from bench.analysis.questions.device_remarks import SlowPrecision
from bench.analysis.questions.norm_remarks import NormRemark
from bench.analysis.variant_summary import VariantSummary
from bench.report.text.jit_text import slowdown_text
from bench.report.text.number_text import plural
from bench.spec.norm_groups import FEWEST_VALUES


class Footnote(str):
    """The text of a footnote. Programs identify it by its ``code``, which never changes."""

    code: str

    def __new__(cls, code: str, text: str) -> "Footnote":
        """Return ``text`` with the identifier ``code``."""
        note = super().__new__(cls, text)
        note.code = code
        return note


INPUT_BOUND = 0.1
"""The share of an epoch time spent waiting for input above which the time is input-bound."""
_MAX_WARNINGS = 3
"""How many warnings of a variant's trials are shown; each trial may have its own."""
SYNTHETIC = Footnote("synthetic", "Synthetic data: this accuracy means nothing.")
NO_COMMUNICATION = Footnote(
    "no_communication",
    "Replicas that do not communicate drift apart: this accuracy means nothing.",
)


class Footnotes:
    """Numbers texts from 1, in the order of their first use."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def of(self, texts: Iterable[str]) -> tuple[int, ...]:
        """Return the numbers of ``texts``; a new text gets the next number."""
        return tuple(self._numbers.setdefault(t, len(self._numbers) + 1) for t in texts)

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts; the first one has number 1."""
        return tuple(self._numbers)


def of_trials(variant: VariantSummary) -> Iterator[Footnote]:
    """Yield why fewer trials completed than were planned, and the warnings of completed ones."""
    planned = plural(variant.planned, "trial")
    for failure in variant.failures:
        reason = f": {failure.reason}" if failure.reason else ""
        text = f"{failure.count} of {planned} {failure.status.replace('_', ' ')}{reason}"
        yield Footnote("not_completed", text)
    missing = variant.planned - variant.completed - sum(f.count for f in variant.failures)
    if missing > 0:
        text = f"{missing} of {planned} without a record: run again with --resume."
        yield Footnote("no_record", text)
    for text in variant.warnings[:_MAX_WARNINGS]:
        yield Footnote("trial_warnings", f"{text}.")
    if (more := len(variant.warnings) - _MAX_WARNINGS) > 0:
        text = (
            f"Trials of this variant have {plural(more, 'further warning')}: "
            "bench show lists those of each trial."
        )
        yield Footnote("trial_warnings", text)


def of_times(variant: VariantSummary) -> Iterator[Footnote]:
    """Yield what disturbed the measurement of the epoch time, and whether it is extrapolated."""
    planned = plural(variant.planned, "trial")
    if variant.throttled:
        text = f"The device was throttled during {variant.throttled} of {planned}."
        yield Footnote("throttled", text)
    if variant.cpu_contention:
        text = (
            f"During {variant.cpu_contention.count} of {planned} other work used up to "
            f"{100 * variant.cpu_contention.largest_share:.0f} % of the CPU time of their cores."
        )
        yield Footnote("crowded", text)
    if variant.untimed:
        text = f"{variant.untimed} of {planned} ran too few windows to extrapolate a time from."
        yield Footnote("untimed", text)
    if variant.unsettled:
        what = "windows" if variant.capped_steps else "epochs"
        text = f"The {what} of {variant.unsettled} of {planned} drifted or never settled."
        yield Footnote("unsettled", text)
    waiting = variant.secondary_metrics.means.get("input_wait_share")
    if waiting is not None and waiting.value > INPUT_BOUND:
        yield Footnote(
            "input_bound",
            f"Input-bound: {100 * waiting.value:.0f} % of this time was spent waiting for batches, "
            "so it says more about the pipeline than about the training.",
        )
    if variant.slow_precision:
        yield Footnote("slow_precision", _slow_precision_text(variant.slow_precision))
    if slow := variant.slow_jit:
        yield Footnote("slow_jit", f"{slowdown_text(slow.workload, slow.jit, slow.slowdown)}.")
    yield from extrapolation(variant)


def extrapolation(variant: VariantSummary) -> Iterator[Footnote]:
    """Yield the note that ``max_steps`` capped the epochs, so that the time is extrapolated."""
    if variant.capped_steps:
        run, whole = variant.capped_steps
        text = f"Extrapolated: {run:,} of the {whole:,} steps of an epoch were run (max_steps)."
        yield Footnote("extrapolated", text)


def of_accuracy(variant: VariantSummary) -> Iterator[Footnote]:
    """Yield why the accuracy may mean nothing, and whether ``max_steps`` capped its epochs."""
    has_accuracy = variant.val_accuracy is not None or variant.test_accuracy is not None
    if has_accuracy and variant.synthetic:
        yield SYNTHETIC
    if has_accuracy and variant.silent:
        yield NO_COMMUNICATION
    if variant.norms:
        yield _norm_note(variant.norms)
    if has_accuracy and variant.capped_steps:
        run, whole = variant.capped_steps
        text = f"After {run:,} of the {whole:,} steps of each epoch (max_steps)."
        yield Footnote("cut_short", text)


def of_comparison(comparison: Comparison) -> Iterator[Footnote]:
    """Yield which planned blocks a ratio excludes, and what confounds it."""
    blocks = plural(comparison.planned_blocks, "block")
    exclusions = {
        "blocks_not_completed": (
            comparison.dropped_blocks,
            "not both trials gave a time",
        ),
        "blocks_split": (comparison.split_blocks, "their trials ran in different invocations"),
    }
    for code, (count, reason) in exclusions.items():
        if count > 0:
            yield Footnote(code, f"{count} of {blocks} left out: {reason}.")
    if comparison.unsettled_blocks:
        text = (
            f"In {comparison.unsettled_blocks} of {blocks} the epochs of a trial "
            "drifted or never settled; the block counts."
        )
        yield Footnote("blocks_unsettled", text)
    if comparison.sequential_blocks:
        text = (
            f"In {comparison.sequential_blocks} of {blocks} the trials ran one "
            "after another, not in turns; the block counts."
        )
        yield Footnote("blocks_in_sequence", text)
    if comparison.declared:
        text = f"The compared environments differ: {_differences(comparison.declared)}."
        yield Footnote("environments", text)
    if comparison.confounds:
        differences = _differences(comparison.confounds)
        text = f"Confounded, because not only the compared axis differs: {differences}."
        yield Footnote("confounded", text)


def _differences(settings: Iterable[Confound]) -> str:
    return "; ".join(
        f"{c.key} is {_value(c.value)}, in the baseline {_value(c.baseline)}" for c in settings
    )


def _norm_note(remark: NormRemark) -> Footnote:
    if remark.older == "layer":
        return Footnote(
            "older_layer_norm",
            "Recorded by an older version: layer norm was over the channels of each position "
            "only, which leaves a constant where there is one channel.",
        )
    if remark.older:
        return Footnote(
            "older_group_norm",
            "Recorded by an older version: groups of group norm could hold fewer than 8 values; "
            "a group of one value leaves a constant.",
        )
    return Footnote(
        "constant_norms",
        f"{remark.constant} of {plural(remark.norms, 'norm')} leave nothing to learn from, because "
        f"their means are over fewer than {FEWEST_VALUES} values: use a larger batch for each "
        "replica, or wider layers.",
    )


def _slow_precision_text(slow: SlowPrecision) -> str:
    if slow.capability is None:
        return f"CPUs emulate {slow.policy}: this time says nothing about a GPU's."
    capability, needed = (
        ".".join(map(str, version)) for version in (slow.capability, slow.needed_capability)
    )
    return (
        f"A GPU of compute capability {capability} has no tensor cores for {slow.policy}, "
        f"which needs {needed}."
    )


def _value(value: Any) -> str:
    return "not set" if value is None else json.dumps(value, default=str)
