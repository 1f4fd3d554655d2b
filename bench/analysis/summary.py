"""A run in one row a variant: what a table shows, still as numbers.

Usage:
    summary = summarize("results/runs/quick-1")
    for variant in summary.variants:
        variant.label, variant.epoch_s.value, variant.comparisons
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.analysis.comparison.compare import Comparison
from bench.analysis.comparison.comparison_columns import (
    ComparisonCells,
    ComparisonColumn,
    by_variant,
    comparison_cells,
)
from bench.analysis.comparison.matched_pairs import examples_used, is_usable
from bench.analysis.loading.data_frames import trials_frame
from bench.analysis.loading.measurement_sessions import SESSION_COLUMNS, with_sessions
from bench.analysis.loading.raw_records import RecordArrays, collector_paused
from bench.analysis.loading.record_loading import load_records
from bench.analysis.questions.device_remarks import (
    SlowJit,
    SlowPrecision,
    has_unfused_batch_norm,
    slow_jits,
    slow_precisions,
)
from bench.analysis.questions.norm_remarks import NormRemark, norm_remarks
from bench.analysis.questions.scaling import COLUMNS, Scaling, scaling, varies_replicas
from bench.analysis.questions.secondary_metrics import (
    MEASURED_COLUMNS,
    NOTHING,
    SecondaryMetrics,
    secondary_metrics,
    with_steps,
)
from bench.analysis.questions.time_breakdown import WALL_COLUMNS, TimeBreakdown, time_breakdown
from bench.analysis.statistics.estimates import estimates
from bench.analysis.statistics.paired import Estimate, rate
from bench.records.run_folder import Invocation, RunFolder, RunInfo
from bench.records.trial_record import MUCH_TAKEN
from bench.spec.expand import Duplicate
from bench.spec.variant import Variant

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Failures:
    """Trials of a variant that ended alike, and the reason that the first of them gave."""

    status: str
    count: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Crowded:
    """Trials of a variant during which others had more than ``MUCH_TAKEN`` of their cores."""

    count: int
    largest_share: float
    """Part of the cores' time that others had, in the trial that lacked most."""


@dataclass(frozen=True, slots=True)
class VariantSummary:
    """What is known of a variant over its completed trials; None where nothing is."""

    variant_id: str
    label: str
    planned: int
    completed: int
    epoch_s: Estimate | None
    examples_per_s: Estimate | None
    """The examples of an epoch over ``epoch_s``, so that the two never disagree."""
    val_accuracy: Estimate | None
    test_accuracy: Estimate | None
    comparisons: tuple[Comparison | None, ...]
    """One for each of the summary's columns."""
    baseline_of: tuple[bool, ...]
    """Whether it is the baseline itself, for each of the summary's columns."""
    replicas: int | None
    """Devices of all workers; None where no trial has a record."""
    scaling: Scaling | None
    """Efficiencies; None where nothing in the run has several replicas."""
    failures: tuple[Failures, ...]
    warnings: tuple[str, ...]
    """What its completed trials warned of, each text once."""
    examples: int | None
    """Training examples in an epoch; None where no trial has a record."""
    synthetic: bool
    """Trained on synthetic data: its accuracy means nothing."""
    silent: bool
    """Trained by replicas that did not communicate: its accuracy means nothing."""
    throttled: int
    """Completed trials during which the device was throttled."""
    crowded: Crowded | None
    """Completed trials whose cores were much in use by others; None where there is none."""
    unsettled: int
    """Completed trials without a time, since their epochs or windows never settled."""
    capped_steps: tuple[int, int] | None
    """Steps that were run of an epoch, and those of a whole one; None where all were run."""
    slow_precision: SlowPrecision | None
    """Its precision, where a device has no units of its own for that."""
    slow_jit: SlowJit | None
    """What XLA compiled, where that is slow on its device."""
    norms: NormRemark | None
    """What is to be said of its norms, if anything."""
    secondary_metrics: SecondaryMetrics
    """Sizes, clipping, cold start, a target reached."""


@dataclass(frozen=True)
class Summary:
    """A run: what was asked for, what came of it, and where its time went."""

    run: Path
    name: str
    description: str
    remark: str
    blocks: int
    trials: int
    """Planned trials."""
    completed: int
    retried: int
    """Attempts that another one replaced."""
    unclassified: int
    """Completed trials whose times are used though their epochs were too few to see them settle."""
    sessions: int
    """Sessions in which a trial completed."""
    unfused_batch_norm: bool
    """Whether a trial computed batch norm on GPUs as Keras does, not by one kernel."""
    duplicates: tuple[Duplicate, ...]
    """Variants of the suite that train like others, and were not run beside them."""
    invocations: tuple[Invocation, ...]
    columns: tuple[ComparisonColumn, ...]
    scaling_columns: tuple[str, ...]
    """Those of ``scaling.COLUMNS`` in which something is known."""
    variants: tuple[VariantSummary, ...]
    """In the order in which the suite names them."""
    wall: TimeBreakdown


_NEEDED = (
    *("trial_id", "variant_id", "label", "block", "invocation", "status", "error", "throttled"),
    "cpu_taken_share",
    *("epoch_s", "val_accuracy", "test_accuracy", "dataset", "examples"),
    *("workload", "jit", "norm"),
    *("workers", "replicas", "global_batch_size", "communication", "max_steps", "steady"),
)


@collector_paused()
def summarize(run: Path | str) -> Summary:
    """Sum up the run folder ``run``.

    Raises RunFolderError where it is no run folder or holds a damaged record.
    """
    folder = RunFolder.open(run)
    info, raw = folder.info(), load_records(folder, all_attempts=True)
    attempts = with_sessions(trials_frame(raw, _needed(info, raw)), info.invocations)
    return summary_of(folder, raw, attempts)


def summary_of(folder: RunFolder, raw: RecordArrays, attempts: "pd.DataFrame") -> Summary:
    """The summary of a run of which ``raw`` holds all attempts, and ``attempts`` their frame.

    ``attempts`` has a column "session", as ``with_sessions`` makes it.
    """
    info = folder.info()
    attempts = with_steps(attempts, raw).assign(settings=raw.settings_code)
    trials = attempts[~attempts["trial_id"].duplicated(keep="last")]
    done = trials[trials["status"] == "completed"]
    timed = done[is_usable(done)]
    cells = comparison_cells(info, trials, raw, _blocks(info))
    scaled = scaling(trials, raw.settings, _blocks(info))
    return Summary(
        run=folder.path,
        name=str(info.suite.get("name", folder.path.name)),
        description=str(info.suite.get("description", "")),
        remark=info.remark,
        blocks=_blocks(info),
        trials=len(info.trial_ids),
        completed=len(done),
        retried=len(attempts) - len(trials),
        unclassified=int((timed["steady"] == "unclassified").sum()),
        sessions=int(done["session"].nunique()),
        unfused_batch_norm=any(
            has_unfused_batch_norm(raw.settings[code]) for code in done["settings"].unique()
        ),
        duplicates=info.duplicates,
        invocations=info.invocations,
        columns=cells.columns,
        scaling_columns=tuple(
            c for c in COLUMNS if any(c in each.shares for each in scaled.values())
        ),
        variants=_variants(
            info,
            trials,
            done,
            timed,
            cells,
            scaled,
            slow_precisions(done, raw.settings, info.invocations),
            slow_jits(done, raw.settings),
            norm_remarks(done, raw.settings),
            _warnings(done, raw),
        ),
        wall=time_breakdown(attempts, info.invocations),
    )


def _needed(info: RunInfo, raw: RecordArrays) -> tuple[str, ...]:
    """The columns that a summary is made from: building all takes a second on large runs."""
    axes = {pair.axis for pair in info.pairs}
    every = "label" in axes or varies_replicas(raw.columns["workers"], raw.columns["replicas"])
    named = Variant.model_fields if every else axes & Variant.model_fields.keys()
    needed = (*_NEEDED, *WALL_COLUMNS, *SESSION_COLUMNS, *MEASURED_COLUMNS, *named)
    return tuple(dict.fromkeys(needed))


def _variants(
    info: RunInfo,
    trials: "pd.DataFrame",
    done: "pd.DataFrame",
    timed: "pd.DataFrame",
    cells: ComparisonCells,
    scaled: dict[str, Scaling],
    slow: dict[str, SlowPrecision],
    slow_jit: dict[str, SlowJit],
    norms: dict[str, NormRemark],
    warnings: dict[str, tuple[str, ...]],
) -> tuple[VariantSummary, ...]:
    firsts = trials.drop_duplicates("variant_id").set_index("variant_id")
    labels = {**info.labels, **by_variant(firsts["label"])}
    epoch_s = estimates(timed, "epoch_s")
    used = by_variant(examples_used(firsts))
    val_accuracy, test_accuracy = (estimates(done, n) for n in ("val_accuracy", "test_accuracy"))
    completed = by_variant(done["variant_id"].value_counts())
    hot = done.loc[done["throttled"].fillna(False), "variant_id"]
    throttled = by_variant(hot.value_counts())
    synthetic = by_variant(firsts["dataset"] == "synthetic")
    examples = by_variant(firsts["examples"])
    replicas = by_variant(firsts["workers"] * firsts["replicas"])
    silent = by_variant(firsts["communication"] == "none")
    unsettled = by_variant(done.loc[~is_usable(done), "variant_id"].value_counts())
    crowded = _crowded(done)
    failures, others, capped = _failures(trials), secondary_metrics(done, trials), _capped(firsts)
    return tuple(
        VariantSummary(
            variant_id=variant_id,
            label=label,
            planned=_blocks(info),
            completed=completed.get(variant_id, 0),
            epoch_s=epoch_s.get(variant_id),
            examples_per_s=rate(used[variant_id], epoch_s[variant_id])
            if variant_id in epoch_s
            else None,
            val_accuracy=val_accuracy.get(variant_id),
            test_accuracy=test_accuracy.get(variant_id),
            comparisons=cells.of(variant_id),
            baseline_of=cells.baseline_of(variant_id),
            replicas=replicas.get(variant_id),
            scaling=scaled.get(variant_id),
            failures=tuple(failures.get(variant_id, ())),
            warnings=warnings.get(variant_id, ()),
            examples=examples.get(variant_id),
            synthetic=synthetic.get(variant_id, False),
            silent=silent.get(variant_id, False) and replicas[variant_id] > 1,
            throttled=throttled.get(variant_id, 0),
            crowded=crowded.get(variant_id),
            unsettled=unsettled.get(variant_id, 0),
            capped_steps=capped.get(variant_id),
            slow_precision=slow.get(variant_id),
            slow_jit=slow_jit.get(variant_id),
            norms=norms.get(variant_id),
            secondary_metrics=others.get(variant_id, NOTHING),
        )
        for variant_id, label in labels.items()
    )


def _warnings(done: "pd.DataFrame", raw: RecordArrays) -> dict[str, tuple[str, ...]]:
    """By variant id; ``done`` is indexed by the rows of ``raw``."""
    found: dict[str, dict[str, None]] = {}
    variant_ids = done["variant_id"].to_dict()
    for row, texts in sorted(raw.warnings.items()):
        if row in variant_ids:
            found.setdefault(variant_ids[row], {}).update(dict.fromkeys(texts))
    return {variant_id: tuple(texts) for variant_id, texts in found.items()}


def _crowded(done: "pd.DataFrame") -> dict[str, Crowded]:
    """By variant id, of those that had completed trials on a busy machine."""
    much = done[done["cpu_taken_share"] > MUCH_TAKEN]
    shares = much.groupby("variant_id")["cpu_taken_share"].agg(["size", "max"])
    return {str(v): Crowded(int(count), float(most)) for v, count, most in shares.itertuples()}


def _capped(firsts: "pd.DataFrame") -> dict[str, tuple[int, int]]:
    """By variant id, for those whose epochs leave out steps for ``max_steps``."""
    whole = firsts["examples"] // firsts["global_batch_size"]
    fewer = (firsts["max_steps"] < whole).fillna(False)
    run = firsts.loc[fewer, "max_steps"].astype(int)
    return {v: (s, of) for v, s, of in zip(run.index, run, whole[fewer], strict=True)}


def _blocks(info: RunInfo) -> int:
    return int(info.suite.get("blocks", 1))


def _failures(trials: "pd.DataFrame") -> dict[str, list[Failures]]:
    failed = trials[trials["status"] != "completed"]
    groups = failed.groupby(["variant_id", "status"], sort=False)["error"]
    found: dict[str, list[Failures]] = {}
    for (variant_id, status), count, reason in groups.agg(["size", "first"]).itertuples():
        text = reason if isinstance(reason, str) else None
        found.setdefault(variant_id, []).append(Failures(status, int(count), text))
    return found
