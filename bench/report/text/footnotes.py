"""Footnotes: what a reader must know of a cell before believing it.

Usage:
    notes = Footnotes()
    numbers = notes.of(["1 of 3 trials failed: ..."])     # (1,), the same text the same number
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from bench.analysis.comparison.compare import Comparison
from bench.analysis.loading.measurement_sessions import GAP_S
from bench.analysis.questions.device_remarks import SlowPrecision
from bench.analysis.questions.norm_remarks import NormRemark
from bench.analysis.statistics.paired import EFFECT_TO_DETECT
from bench.analysis.statistics.steady_state import MIN_EPOCHS
from bench.analysis.summary import Summary, VariantSummary
from bench.report.text.duplicate_text import duplicate_lines
from bench.report.text.environment_text import left_out
from bench.report.text.jit_text import slowdown_text
from bench.report.text.number_text import duration, plural
from bench.report.text.report_header import changed
from bench.spec.norm_groups import FEWEST_VALUES


class Footnote(str):
    """What a reader must know, as text; programs know it by its ``code``, which stays."""

    code: str

    def __new__(cls, code: str, text: str) -> "Footnote":
        """``text`` under the name ``code``."""
        note = super().__new__(cls, text)
        note.code = code
        return note


WANTED_TEXT = f"{100 * EFFECT_TO_DETECT:g} %"
INPUT_BOUND = 0.1
"""The part of a time that, waited for input, makes it one of the pipeline."""
_MOST_WARNINGS = 3
"""Warnings of a variant's trials that are told; each trial may have its own."""
SYNTHETIC = Footnote("synthetic", "Synthetic data: this accuracy means nothing.")
UNFUSED = Footnote(
    "unfused_batch_norm",
    "On GPUs Keras 3 computes batch norm in many kernels unless XLA fuses them: "
    'batch_norm = "fused" compares one kernel.',
)
SILENT = Footnote(
    "no_communication",
    "Replicas that do not communicate drift apart: this accuracy means nothing.",
)


class Footnotes:
    """Texts in the order of their first use, numbered from 1."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def of(self, texts: Iterable[str]) -> tuple[int, ...]:
        """The numbers of ``texts``."""
        return tuple(self._numbers.setdefault(t, len(self._numbers) + 1) for t in texts)

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts; the first one has number 1."""
        return tuple(self._numbers)


def of_trials(variant: VariantSummary) -> Iterator[Footnote]:
    """Why fewer trials completed than were planned, and what those that did warned of."""
    planned = plural(variant.planned, "trial")
    for failure in variant.failures:
        reason = f": {failure.reason}" if failure.reason else ""
        text = f"{failure.count} of {planned} {failure.status.replace('_', ' ')}{reason}"
        yield Footnote("not_completed", text)
    missing = variant.planned - variant.completed - sum(f.count for f in variant.failures)
    if missing > 0:
        text = f"{missing} of {planned} without a record: run again with --resume."
        yield Footnote("no_record", text)
    for text in variant.warnings[:_MOST_WARNINGS]:
        yield Footnote("trial_warnings", f"{text}.")
    if (more := len(variant.warnings) - _MOST_WARNINGS) > 0:
        text = f"Its trials have {plural(more, 'further warning')}: bench show lists a trial's."
        yield Footnote("trial_warnings", text)


def of_times(variant: VariantSummary) -> Iterator[Footnote]:
    """What was amiss while its time was measured, or that it was not measured whole."""
    if variant.throttled:
        planned = plural(variant.planned, "trial")
        text = f"The device was throttled during {variant.throttled} of {planned}."
        yield Footnote("throttled", text)
    if variant.cpu_contention:
        planned = plural(variant.planned, "trial")
        text = (
            f"During {variant.cpu_contention.count} of {planned} other work had up to "
            f"{100 * variant.cpu_contention.largest_share:.0f} % of the CPU time of their cores."
        )
        yield Footnote("crowded", text)
    if variant.unsettled:
        planned = plural(variant.planned, "trial")
        why = (
            "windows never settled, or were too few"
            if variant.capped_steps
            else "epochs never settled"
        )
        text = f"Of {variant.unsettled} of {planned} no time is used: their {why}."
        yield Footnote("unsettled", text)
    waited = variant.secondary_metrics.means.get("input_wait_share")
    if waited is not None and waited.value > INPUT_BOUND:
        yield Footnote(
            "input_bound",
            f"Input-bound: {100 * waited.value:.0f} % of this time was waited for batches, so it "
            "says more of the pipeline than of the training.",
        )
    if variant.slow_precision:
        yield Footnote("slow_precision", _slow_precision(variant.slow_precision))
    if slow := variant.slow_jit:
        yield Footnote("slow_jit", f"{slowdown_text(slow.workload, slow.jit, slow.slowdown)}.")
    yield from extrapolated(variant)


def extrapolated(variant: VariantSummary) -> Iterator[Footnote]:
    """That its epochs were cut short."""
    if variant.capped_steps:
        run, whole = variant.capped_steps
        text = f"Extrapolated: {run:,} of the {whole:,} steps of an epoch were run (max_steps)."
        yield Footnote("extrapolated", text)


def cut_short(variant: VariantSummary) -> Iterator[Footnote]:
    """That what its accuracy is of is not a whole epoch."""
    if variant.capped_steps:
        run, whole = variant.capped_steps
        text = f"After {run:,} of the {whole:,} steps of each epoch (max_steps)."
        yield Footnote("cut_short", text)


def of_accuracy(variant: VariantSummary) -> Iterator[Footnote]:
    """Whether its accuracy means anything, where it has one."""
    has_accuracy = variant.val_accuracy is not None or variant.test_accuracy is not None
    if has_accuracy and variant.synthetic:
        yield SYNTHETIC
    if has_accuracy and variant.silent:
        yield SILENT
    if variant.norms:
        yield _norms(variant.norms)
    if has_accuracy:
        yield from cut_short(variant)


def of_comparison(comparison: Comparison, blocks: int) -> Iterator[Footnote]:
    """Blocks left out of a ratio, and what else than the compared axis differs."""
    planned = plural(blocks, "block")
    if comparison.dropped_blocks > 0:
        left = f"{comparison.dropped_blocks} of {planned} left out"
        yield Footnote("blocks_not_completed", f"{left}: not both trials completed.")
    if comparison.split_blocks:
        left = f"{comparison.split_blocks} of {planned} left out"
        yield Footnote("blocks_split", f"{left}: their trials ran in different invocations.")
    if comparison.unsettled_blocks:
        left = f"{comparison.unsettled_blocks} of {planned} left out"
        yield Footnote("blocks_unsettled", f"{left}: not both trials settled.")
    if comparison.confounds:
        differing = "; ".join(
            f"{c.key} is {_value(c.value)}, in the baseline {_value(c.baseline)}"
            for c in comparison.confounds
        )
        text = f"Confounded, more differs than the compared axis: {differing}."
        yield Footnote("confounded", text)


def of_summary(summary: Summary) -> Iterator[Footnote]:
    """How to read the table as a whole."""
    yield Footnote(
        "intervals",
        "Over completed trials, with 95 % t intervals: of times and throughput the geometric "
        "mean and the interval of the logarithms, of accuracy the arithmetic mean and an interval "
        "within 0 and 1. The epoch time of a trial is the median of its steady epochs; throughput "
        "is the examples of an epoch over that time.",
    )
    if summary.columns:
        yield Footnote(
            "ratios",
            "Ratios: within each block the epoch time over that of the baseline; the mean of "
            "their logarithms over blocks, with its 95 % t interval. Detectable: the smallest "
            "slow-down that so many blocks as noisy as these would find in 9 of 10 cases "
            f"(two-sided test at 5 %), and how many more would find one of {WANTED_TEXT}.",
        )
    if summary.scaling_columns:
        yield Footnote(
            "efficiency",
            "Efficiency: within each block the throughput over N times that of one device, N "
            "being all replicas; strong against the same global batch, weak against the same "
            "batch per replica. Communication: the share of the epoch time that goes away where "
            "replicas exchange nothing.",
        )
    if summary.unfused_batch_norm:
        yield UNFUSED
    if titles := changed(summary):
        yield Footnote(
            "environments_differ",
            f"Invocations differ in {', '.join(titles)}: summary.md lists what "
            "each ran on. Times of one row may come from several.",
        )
    for left in dict.fromkeys(left for call in summary.invocations for left in call.left_out):
        yield Footnote("gpus_left_out", f"{left_out(left)}.")
    for text in dict.fromkeys(text for call in summary.invocations for text in call.warnings):
        yield Footnote("warning", f"{text}.")
    for line in duplicate_lines(summary.duplicates):
        yield Footnote("same_variant", line)
    if summary.unclassified:
        yield Footnote(
            "unclassified",
            f"Of {summary.unclassified} of {summary.completed} completed trials the epochs were "
            f"too few to tell whether their times had settled, for which it takes {MIN_EPOCHS}.",
        )
    if len({v.examples for v in summary.variants}) > 1 and summary.columns:
        text = "A fixed cost per epoch draws a ratio towards 1 where an epoch has few examples."
        yield Footnote("fixed_cost", text)
    if summary.blocks == 1:
        text = "A single block has no intervals: raise blocks to get them."
        yield Footnote("single_block", text)
    elif summary.sessions == 1:
        text = "All trials ran in one session: intervals are for this session only."
        yield Footnote("one_session", text)
    elif summary.sessions > 1:
        yield Footnote(
            "several_sessions",
            f"Trials ran in {summary.sessions} sessions: an invocation begins a new one where the "
            "machines, the software or the source are not those of the one before, or where more "
            f"than {duration(GAP_S)} has passed. Where a variant or a pair has several, each gives "
            "one estimate of time and the interval is over those.",
        )


def _norms(remark: NormRemark) -> Footnote:
    if remark.older == "layer":
        return Footnote(
            "older_layer_norm",
            "Recorded by an older version: layer norm was over the channels of each place alone, "
            "a constant where there is one channel.",
        )
    if remark.older:
        return Footnote(
            "older_group_norm",
            "Recorded by an older version: groups of group norm could hold fewer than 8 values; "
            "of a single one a constant is left.",
        )
    return Footnote(
        "constant_norms",
        f"{remark.constant} of {plural(remark.norms, 'norm')} leave nothing to learn from, since "
        f"their means are of fewer than {FEWEST_VALUES} values: use a larger batch for each "
        "replica, or wider layers.",
    )


def _slow_precision(slow: SlowPrecision) -> str:
    if slow.capability is None:
        return f"CPUs emulate {slow.policy}: this time says nothing of a GPU's."
    found, needed = (
        ".".join(map(str, version)) for version in (slow.capability, slow.needed_capability)
    )
    return (
        f"A GPU of compute capability {found} has no tensor cores for {slow.policy}, "
        f"which needs {needed}."
    )


def _value(value: Any) -> str:
    return "not set" if value is None else json.dumps(value, default=str)
