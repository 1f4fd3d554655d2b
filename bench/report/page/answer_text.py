"""Write the answer of a run in one paragraph, with its numbers, from the analysis.

Usage:
    " ".join(answer(run))
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from bench.analysis.comparison.comparison_columns import ComparisonColumn
from bench.analysis.statistics.intervals import Ratio
from bench.analysis.summary import Summary
from bench.analysis.variant_summary import VariantSummary
from bench.records.metric import METRICS
from bench.report.charts.chart_series import shorten_label
from bench.report.charts.report_data import ReportData
from bench.report.page.claim_section import Claim, claim_sentences
from bench.report.text.noise_text import noise_text
from bench.report.text.number_text import interval, plural
from bench.report.text.ratio_text import ratio_text
from bench.report.text.stopping_text import ending_text
from bench.spec.suite import FEWEST_BLOCKS_FOR_INTERVAL

_Comparison = tuple[VariantSummary, Ratio]


def answer(run: ReportData, answered_claims: Sequence[Claim] = ()) -> Iterator[str]:
    """Write the answer sentence by sentence; if nothing is compared, say what ran."""
    summary = run.summary
    if any(call.executor == "simulated" for call in summary.invocations):
        yield "These times are simulated, not measured."
    comparisons = [_comparisons(summary, i) for i in range(len(summary.columns))]
    for column, compared in zip(summary.columns, comparisons, strict=True):
        if compared:
            yield from _column_sentences(column, compared)
        else:
            yield (
                f"No variant can be compared with {column.axis}={column.baseline} yet: no block "
                "has two trials that completed in one invocation."
            )
    if not summary.columns:
        yield (
            f"{plural(len(summary.variants), 'variant')} ran in {plural(summary.blocks, 'block')}; "
            "the suite makes no comparison."
        )
    yield from claim_sentences(answered_claims)
    yield from _best_accuracy(summary)
    if summary.stopping:
        yield ending_text(summary.stopping)
    yield f"{summary.completed} of {plural(summary.trials, 'trial')} completed."
    if summary.noise and not summary.stopping:
        yield noise_text(summary.noise)
    if any(comparisons):
        yield from _interval_scope(summary, [r for each in comparisons for _, r in each])


def _comparisons(summary: Summary, index: int) -> list[_Comparison]:
    compared = []
    for variant in summary.variants:
        comparison = variant.comparisons[index]
        if comparison is not None and comparison.ratio is not None:
            compared.append((variant, comparison.ratio))
    return compared


def _column_sentences(column: ComparisonColumn, compared: list[_Comparison]) -> Iterator[str]:
    against = f"{column.axis}={column.baseline}"
    if len(compared) <= 2:
        for variant, ratio in compared:
            yield (
                f"An epoch of {shorten_label(variant.label)} takes {ratio_text(ratio)} times as "
                f"long as with {against} ({_sample_size(ratio)}): {_meaning(ratio)}."
            )
        return
    ranked = sorted(compared, key=lambda comparison: comparison[1].value)
    (least, low), (most, high) = ranked[0], ranked[-1]
    tally = _tally([ratio for _, ratio in compared])
    yield (
        f"Of {len(compared)} variants compared with {against}, {tally}. The "
        f"ratio of epoch times goes from {ratio_text(low)} ({shorten_label(least.label)}) to "
        f"{ratio_text(high)} ({shorten_label(most.label)})."
    )


def _tally(ratios: Sequence[Ratio]) -> str:
    counts = Counter(map(_meaning, ratios))
    prefix = "all " if len(counts) == 1 else ""
    parts = [f"{prefix}{count} {_VERBS[meaning]}" for meaning, count in counts.most_common()]
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]


def _sample_size(ratio: Ratio) -> str:
    blocks = plural(ratio.blocks, "block")
    return f"{blocks}, {plural(ratio.sessions, 'session')}" if ratio.sessions > 1 else blocks


def _meaning(ratio: Ratio) -> str:
    if ratio.low is None or ratio.high is None:
        return _NO_INTERVAL
    if ratio.low > 1:
        return "slower"
    return "faster" if ratio.high < 1 else "not told apart"


_NO_INTERVAL = "too few blocks for an interval"
_VERBS = {
    "slower": "take longer an epoch",
    "faster": "take less",
    "not told apart": "cannot be told apart from it",
    _NO_INTERVAL: "have too few blocks for an interval",
}


_CUT_SHORT = "; where epochs were cut short, fewer examples were learnt from"


def _best_accuracy(summary: Summary) -> Iterator[str]:
    real = [v for v in summary.variants if v.test_accuracy and not v.synthetic and not v.silent]
    if len(real) > 1:
        best = max(real, key=lambda v: v.test_accuracy.value if v.test_accuracy else 0.0)
        e = best.test_accuracy
        if e is not None:
            text = interval(e.value, e.low, e.high, METRICS["test_accuracy"].digits)
            cut = "" if all(v.capped_steps is None for v in real) else _CUT_SHORT
            yield f"The highest mean test accuracy is {text}, of {shorten_label(best.label)}{cut}."


def _interval_scope(summary: Summary, ratios: Sequence[Ratio]) -> Iterator[str]:
    if all(ratio.low is None for ratio in ratios):
        fewest = FEWEST_BLOCKS_FOR_INTERVAL
        yield f"Fewer than {fewest} blocks give ratios no intervals: raise blocks to get them."
        return
    individual = ", each by itself" if len(ratios) > 1 else ""
    session = ", for this session only" if summary.sessions == 1 else ""
    yield f"Brackets are 95 % intervals{individual}{session}."
