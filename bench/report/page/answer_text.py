"""The answer of a run in one paragraph, with its numbers, made from the analysis alone.

Usage:
    " ".join(answer(run))
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from bench.analysis.comparison.comparison_columns import ComparisonColumn
from bench.analysis.statistics.paired import Ratio
from bench.analysis.summary import Summary, VariantSummary
from bench.records.metric import METRICS
from bench.report.charts.chart_series import shorten_label
from bench.report.charts.ratio_chart import ratio_text
from bench.report.charts.report_data import ReportData
from bench.report.page.claim_section import Claim, claim_sentences
from bench.report.text.number_text import interval, plural

_Compared = tuple[VariantSummary, Ratio]


def answer(run: ReportData, found_claims: Sequence[Claim] = ()) -> Iterator[str]:
    """Sentences. Where nothing is compared they say what ran."""
    summary = run.summary
    if any(call.executor == "simulated" for call in summary.invocations):
        yield "These times are simulated, not measured."
    compared = [_compared(summary, i) for i in range(len(summary.columns))]
    for column, found in zip(summary.columns, compared, strict=True):
        if found:
            yield from _of_column(column, found)
        else:
            yield (
                f"Nothing can be said against {column.axis}={column.baseline} yet: no block "
                "holds two trials that completed, settled and ran in one invocation."
            )
    if not summary.columns:
        yield (
            f"{plural(len(summary.variants), 'variant')} ran in {plural(summary.blocks, 'block')}; "
            "the suite compares none with another."
        )
    yield from claim_sentences(found_claims)
    yield from _best(summary)
    yield f"{summary.completed} of {plural(summary.trials, 'trial')} completed."
    if any(compared):
        yield from _reach(summary, [r for found in compared for _, r in found])


def _compared(summary: Summary, index: int) -> list[_Compared]:
    found = []
    for variant in summary.variants:
        comparison = variant.comparisons[index]
        if comparison is not None and comparison.ratio is not None:
            found.append((variant, comparison.ratio))
    return found


def _of_column(column: ComparisonColumn, found: list[_Compared]) -> Iterator[str]:
    against = f"{column.axis}={column.baseline}"
    if len(found) <= 2:
        for variant, ratio in found:
            yield (
                f"An epoch of {shorten_label(variant.label)} takes {ratio_text(ratio)} times as long "
                f"as with {against} ({_counted(ratio)}): {_meaning(ratio)}."
            )
        return
    ranked = sorted(found, key=lambda each: each[1].value)
    (least, low), (most, high) = ranked[0], ranked[-1]
    yield (
        f"Of {len(found)} variants compared with {against}, {_tally([r for _, r in found])}. The "
        f"ratio of epoch times goes from {ratio_text(low)} ({shorten_label(least.label)}) to "
        f"{ratio_text(high)} ({shorten_label(most.label)})."
    )


def _tally(ratios: Sequence[Ratio]) -> str:
    counts = Counter(map(_meaning, ratios))
    all_alike = "all " if len(counts) == 1 else ""
    parts = [f"{all_alike}{count} {_VERBS[meaning]}" for meaning, count in counts.most_common()]
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]


def _counted(ratio: Ratio) -> str:
    blocks = plural(ratio.blocks, "block")
    return f"{blocks}, {plural(ratio.sessions, 'session')}" if ratio.sessions > 1 else blocks


def _meaning(ratio: Ratio) -> str:
    if ratio.low is None or ratio.high is None:
        return _ALONE
    if ratio.low > 1:
        return "slower"
    return "faster" if ratio.high < 1 else "not told apart"


_ALONE = "a single value has no interval"
_VERBS = {
    "slower": "take longer an epoch",
    "faster": "take less",
    "not told apart": "cannot be told apart from it",
    _ALONE: "have a single value and no interval",
}


_CUT_SHORT = "; where epochs were cut short, fewer examples were learnt from"


def _best(summary: Summary) -> Iterator[str]:
    real = [v for v in summary.variants if v.test_accuracy and not v.synthetic and not v.silent]
    if len(real) > 1:
        best = max(real, key=lambda v: v.test_accuracy.value if v.test_accuracy else 0.0)
        e = best.test_accuracy
        if e is not None:
            text = interval(e.value, e.low, e.high, METRICS["test_accuracy"].digits)
            cut = "" if all(v.capped_steps is None for v in real) else _CUT_SHORT
            yield f"The highest mean test accuracy is {text}, of {shorten_label(best.label)}{cut}."


def _reach(summary: Summary, ratios: Sequence[Ratio]) -> Iterator[str]:
    if all(ratio.low is None for ratio in ratios):
        yield "A single block has no intervals: raise blocks to get them."
        return
    each = "Brackets are 95 % intervals" + (", each by itself" if len(ratios) > 1 else "")
    session = ", for this session only" if summary.sessions == 1 else ""
    yield f"{each}{session}."
