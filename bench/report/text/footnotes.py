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
from bench.analysis.loading.measurement_sessions import GAP_S
from bench.analysis.questions.device_remarks import SlowPrecision
from bench.analysis.questions.norm_remarks import NormRemark
from bench.analysis.statistics.intervals import EFFECT_TO_DETECT
from bench.analysis.statistics.steady_state import MIN_EPOCHS
from bench.analysis.summary import Summary, VariantSummary
from bench.report.text.duplicate_text import duplicate_lines
from bench.report.text.environment_text import excluded_gpus_text
from bench.report.text.jit_text import slowdown_text
from bench.report.text.number_text import duration, plural
from bench.report.text.report_header import differing_titles
from bench.spec.norm_groups import FEWEST_VALUES


class Footnote(str):
    """The text of a footnote. Programs identify it by its ``code``, which never changes."""

    code: str

    def __new__(cls, code: str, text: str) -> "Footnote":
        """Return ``text`` with the identifier ``code``."""
        note = super().__new__(cls, text)
        note.code = code
        return note


TARGET_SLOWDOWN_TEXT = f"{100 * EFFECT_TO_DETECT:g} %"
INPUT_BOUND = 0.1
"""The share of an epoch time spent waiting for input above which the time is input-bound."""
_MAX_WARNINGS = 3
"""How many warnings of a variant's trials are shown; each trial may have its own."""
SYNTHETIC = Footnote("synthetic", "Synthetic data: this accuracy means nothing.")
UNFUSED_BATCH_NORM = Footnote(
    "unfused_batch_norm",
    "On GPUs Keras 3 computes batch norm in many kernels unless XLA fuses them: "
    'batch_norm = "fused" compares one kernel.',
)
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
    if variant.unsettled:
        why = (
            "windows never settled, or were too few"
            if variant.capped_steps
            else "epochs never settled"
        )
        text = f"The times of {variant.unsettled} of {planned} are not used: their {why}."
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


def of_comparison(comparison: Comparison, blocks: int) -> Iterator[Footnote]:
    """Yield which of the run's ``blocks`` a ratio excludes, and what confounds it."""
    exclusions = {
        "blocks_not_completed": (comparison.dropped_blocks, "not both trials completed"),
        "blocks_split": (comparison.split_blocks, "their trials ran in different invocations"),
        "blocks_unsettled": (comparison.unsettled_blocks, "not both trials settled"),
    }
    for code, (count, reason) in exclusions.items():
        if count > 0:
            yield Footnote(code, f"{count} of {plural(blocks, 'block')} left out: {reason}.")
    if comparison.confounds:
        differences = "; ".join(
            f"{c.key} is {_value(c.value)}, in the baseline {_value(c.baseline)}"
            for c in comparison.confounds
        )
        text = f"Confounded, because not only the compared axis differs: {differences}."
        yield Footnote("confounded", text)


def of_summary(summary: Summary) -> Iterator[Footnote]:
    """Yield how to read the table as a whole."""
    yield from _method_notes(summary)
    yield from _run_notes(summary)
    yield from _precision_notes(summary)


def _method_notes(summary: Summary) -> Iterator[Footnote]:
    """Yield how the columns are computed."""
    yield Footnote(
        "intervals",
        "Values are means over completed trials with 95 % t intervals: geometric means for times "
        "and throughput, with the interval of the logarithms; arithmetic means for accuracy, with "
        "an interval within 0 and 1. The epoch time of a trial is the median of its steady epochs; "
        "throughput is the examples of an epoch over that time.",
    )
    if summary.columns:
        yield Footnote(
            "ratios",
            "Ratios: within each block, the epoch time over that of the baseline; then the mean of "
            "the logarithms over blocks, with its 95 % t interval. Detectable: the smallest "
            "slowdown that as many, equally noisy blocks would detect in 9 of 10 cases (two-sided "
            f"test at 5 %), and how many more would detect one of {TARGET_SLOWDOWN_TEXT}.",
        )
    if summary.scaling_columns:
        yield Footnote(
            "efficiency",
            "Efficiency: within each block, the throughput over N times that of one device, where "
            "N is the number of replicas; strong for the same global batch, weak for the same "
            "batch per replica. Communication: the share of the epoch time that disappears when "
            "replicas exchange nothing.",
        )
    if summary.unfused_batch_norm:
        yield UNFUSED_BATCH_NORM


def _run_notes(summary: Summary) -> Iterator[Footnote]:
    """Yield what happened in the run: other environments, excluded GPUs, warnings, duplicates."""
    if titles := differing_titles(summary):
        yield Footnote(
            "environments_differ",
            f"Invocations differ in {', '.join(titles)}: summary.md lists what "
            "each ran on. Times of one row may come from several.",
        )
    calls = summary.invocations
    for excluded in dict.fromkeys(excluded for call in calls for excluded in call.left_out):
        yield Footnote("gpus_left_out", f"{excluded_gpus_text(excluded)}.")
    for warning in dict.fromkeys(warning for call in calls for warning in call.warnings):
        yield Footnote("warning", f"{warning}.")
    for line in duplicate_lines(summary.duplicates):
        yield Footnote("same_variant", line)


def _precision_notes(summary: Summary) -> Iterator[Footnote]:
    """Yield what limits the times and their intervals: few epochs, few blocks, sessions."""
    if summary.unclassified:
        yield Footnote(
            "unclassified",
            f"{summary.unclassified} of {summary.completed} completed trials had too few epochs to "
            f"tell whether their times had settled, which takes {MIN_EPOCHS}.",
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
            f"Trials ran in {summary.sessions} sessions: an invocation begins a new session if its "
            "machines, software or source differ from those of the invocation before, or if more "
            f"than {duration(GAP_S)} passed in between. Where a variant or a pair has several "
            "sessions, each gives one estimate of time, and the interval is over these estimates.",
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
