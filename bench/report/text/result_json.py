"""Write the results of runs as JSON for programs: the values of the tables, unrounded.

Usage:
    run_document(result)
    report_document(paths, summaries)
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from bench.analysis.comparison.compare import Comparison
from bench.analysis.statistics.intervals import Estimate
from bench.analysis.summary import Summary
from bench.analysis.variant_summary import VariantSummary
from bench.report.text import footnotes
from bench.report.text.footnotes import Footnote
from bench.report.text.result_schema import (
    SCHEMA_VERSION,
    About,
    BlockRatioResult,
    CoreUseResult,
    FailureResult,
    Interval,
    NoiseResult,
    NoteModel,
    RatioResult,
    ReportDocument,
    RunDocument,
    RunResults,
    ShareResult,
    StoppingResult,
    TargetResult,
    VariantResult,
)
from bench.report.text.scaling_columns import per_device_throughput
from bench.report.text.secondary_table import secondary_notes
from bench.report.text.table_notes import table_notes

if TYPE_CHECKING:
    from bench.api import RunResult


def run_document(result: "RunResult") -> str:
    """Return how a run ended, and its results."""
    document = RunDocument(
        schema_version=SCHEMA_VERSION,
        run=str(result.path),
        succeeded=result.succeeded,
        statuses=dict(Counter(result.statuses.values())),
        trials=result.statuses,
        results=run_results(result.summary),
    )
    return document.model_dump_json(indent=2)


def report_document(files: Iterable[Path], summaries: Iterable[Summary]) -> str:
    """Return the files of a report, and the results of its runs."""
    document = ReportDocument(
        schema_version=SCHEMA_VERSION,
        files=tuple(map(str, files)),
        runs=tuple(map(run_results, summaries)),
    )
    return document.model_dump_json(indent=2)


def run_results(summary: Summary) -> RunResults:
    """Return everything that the tables of ``summary`` show."""
    return RunResults(
        run=str(summary.run),
        name=summary.name,
        description=summary.description,
        remark=summary.remark,
        blocks=summary.blocks,
        trials=summary.trials,
        completed=summary.completed,
        retried=summary.retried,
        unclassified=summary.unclassified,
        sessions=summary.sessions,
        wall_time_s={k: s for k, s in dataclasses.asdict(summary.wall).items() if s is not None},
        noise=NoiseResult.model_validate(summary.noise) if summary.noise else None,
        cores=CoreUseResult.model_validate(summary.cores) if summary.cores else None,
        variants=tuple(_variant(summary, variant) for variant in summary.variants),
        duplicates=summary.duplicates,
        stopping=StoppingResult.model_validate(summary.stopping) if summary.stopping else None,
        notes=_notes("run", [*table_notes(summary), *secondary_notes(summary)]),
    )


def _variant(summary: Summary, v: VariantSummary) -> VariantResult:
    notes = _notes("trials", footnotes.of_trials(v))
    if v.completed:
        notes += _notes("time", footnotes.of_times(v))
        notes += _notes("accuracy", footnotes.of_accuracy(v))
    means = {name: _interval(estimate) for name, estimate in v.secondary_metrics.means.items()}
    return VariantResult(
        variant_id=v.variant_id,
        label=v.label,
        planned=v.planned,
        n=v.completed,
        epoch_s=_interval(v.epoch_s),
        examples_per_s=_interval(v.examples_per_s),
        val_accuracy=_interval(v.val_accuracy),
        test_accuracy=_interval(v.test_accuracy),
        replicas=v.replicas,
        examples_per_s_per_device=_interval(per_device_throughput(v))
        if summary.scaling_columns
        else None,
        nccl_transports=v.scaling.transports if v.scaling else (),
        comparisons=tuple(_ratios(summary, v)),
        scaling=tuple(_shares(v)),
        counts=dict(v.secondary_metrics.counts),
        means={name: mean for name, mean in means.items() if mean is not None},
        target=_target(v),
        failures=tuple(map(FailureResult.model_validate, v.failures)),
        notes=notes,
    )


def _ratios(summary: Summary, v: VariantSummary) -> Iterable[RatioResult]:
    for column, comparison, is_baseline in zip(
        summary.columns, v.comparisons, v.baseline_of, strict=True
    ):
        if comparison is None and not is_baseline:
            continue
        ratio = comparison.ratio if comparison else None
        within = comparison.within_sessions if comparison else None
        blocks = comparison.block_ratios if comparison else ()
        yield RatioResult(
            axis=column.axis,
            baseline=column.baseline,
            is_baseline=comparison is None,
            ratio=_number(ratio.value if ratio else None),
            low=_number(ratio.low if ratio else None),
            high=_number(ratio.high if ratio else None),
            within_sessions_low=_number(within.low if within else None),
            within_sessions_high=_number(within.high if within else None),
            block_ratios=tuple(map(BlockRatioResult.model_validate, blocks)),
            n=ratio.n if ratio else 0,
            blocks=ratio.blocks if ratio else 0,
            sessions=ratio.sessions if ratio else 0,
            detectable=_number(ratio.detectable if ratio else None),
            further=ratio.further if ratio else None,
            **_exclusions(comparison),
            notes=_comparison_notes(v, comparison),
        )


def _exclusions(comparison: Comparison | None) -> dict[str, Any]:
    """Return how many blocks a ratio excludes, and what confounds it."""
    if comparison is None:
        return {"dropped_blocks": 0, "split_blocks": 0, "unsettled_blocks": 0, "confounds": ()}
    confounds = [dataclasses.asdict(confound) for confound in comparison.confounds]
    return {
        "dropped_blocks": comparison.dropped_blocks,
        "split_blocks": comparison.split_blocks,
        "unsettled_blocks": comparison.unsettled_blocks,
        # A record may have any value for the settings of TensorFlow itself.
        "confounds": to_jsonable_python(confounds, inf_nan_mode="strings", fallback=str),
    }


def _comparison_notes(v: VariantSummary, comparison: Comparison | None) -> tuple[NoteModel, ...]:
    if comparison is None:
        return ()
    notes = [*footnotes.of_comparison(comparison), *footnotes.extrapolation(v)]
    return _notes("ratio", notes)


def _shares(v: VariantSummary) -> Iterable[ShareResult]:
    for name, share in (v.scaling.shares if v.scaling else {}).items():
        yield ShareResult(
            name=name,
            value=share.value,
            low=_number(share.low),
            high=_number(share.high),
            n=share.comparison.ratio.n if share.comparison.ratio else 0,
            blocks=share.comparison.ratio.blocks if share.comparison.ratio else 0,
            notes=_notes("share", footnotes.of_comparison(share.comparison)),
        )


def _target(v: VariantSummary) -> TargetResult | None:
    target = v.secondary_metrics.target
    if target is None:
        return None
    return TargetResult(
        accuracy=target.accuracy,
        reached=target.reached,
        trials=target.trials,
        median_s=target.median_s,
        low_s=target.low_s,
        high_s=target.high_s,
        time_s=_interval(target.time_s),
        with_cold_start_s=_interval(target.with_cold_start_s),
    )


def _interval(estimate: Estimate | None) -> Interval | None:
    if estimate is None or math.isnan(estimate.value):
        return None
    low, high = _number(estimate.low), _number(estimate.high)
    return Interval(value=estimate.value, low=low, high=high, n=estimate.n)


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _notes(about: About, notes: Iterable[Footnote]) -> tuple[NoteModel, ...]:
    """Return each footnote once."""
    unique = dict.fromkeys(notes)
    return tuple(NoteModel(code=note.code, about=about, text=str(note)) for note in unique)
