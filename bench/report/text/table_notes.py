"""Write the notes below a run's tables: how to read them as a whole.

Usage:
    for note in table_notes(summary): note, note.code
"""

from collections.abc import Iterator

from bench.analysis.loading.measurement_sessions import GAP_S
from bench.analysis.statistics.steady_state import MIN_EPOCHS
from bench.analysis.summary import Summary
from bench.report.text.duplicate_text import duplicate_lines
from bench.report.text.environment_text import excluded_gpus_text
from bench.report.text.footnotes import Footnote
from bench.report.text.noise_text import cores_text, noise_text
from bench.report.text.number_text import duration, plural
from bench.report.text.report_header import differing_titles
from bench.report.text.stopping_text import stopping_text
from bench.spec.suite import FEWEST_BLOCKS_FOR_INTERVAL

UNFUSED_BATCH_NORM = Footnote(
    "unfused_batch_norm",
    "On GPUs Keras 3 computes batch norm in many kernels unless XLA fuses them: "
    'batch_norm = "fused" compares one kernel.',
)


def table_notes(summary: Summary) -> Iterator[Footnote]:
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
        "an interval within 0 and 1. The epoch time of a trial is the median of its epochs after "
        "the warm-up, and every completed trial counts; throughput is the examples of an epoch "
        "over that time.",
    )
    if summary.columns:
        yield Footnote(
            "ratios",
            "Ratios: within each block, the epoch time over that of the baseline; then the mean of "
            "the logarithms over blocks, with its 95 % t interval. Below "
            f"{FEWEST_BLOCKS_FOR_INTERVAL} blocks there is no interval, and the ratio of each "
            "block stands in its place.",
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
    if resumed := _resumed_blocks(summary):
        yield Footnote(
            "resumed_blocks",
            f"Warning: up to {plural(resumed, 'block')} of a comparison began in one invocation "
            "and ended in another. No ratio uses them: raise blocks and resume to replace them.",
        )
    for line in duplicate_lines(summary.duplicates):
        yield Footnote("same_variant", line)


def _resumed_blocks(summary: Summary) -> int:
    """Return the most blocks of a comparison whose trials ran in different invocations."""
    comparisons = (c for v in summary.variants for c in v.comparisons if c is not None)
    return max((c.split_blocks for c in comparisons), default=0)


def _precision_notes(summary: Summary) -> Iterator[Footnote]:
    """Yield what limits the times and their intervals: noise, few epochs, few blocks, sessions."""
    if summary.noise and not summary.stopping:  # a last look states the noise
        yield Footnote("noise", noise_text(summary.noise))
    if summary.cores:
        yield Footnote("cores", cores_text(summary.cores))
    if summary.stopping:
        labels = {variant.variant_id: variant.label for variant in summary.variants}
        yield Footnote("stopping", stopping_text(summary.stopping, labels))
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
            "sessions, each gives one estimate of time, and the interval is over these estimates. "
            "The interval within sessions takes only the noise between their blocks: it says "
            "nothing about another session.",
        )
