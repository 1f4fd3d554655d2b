"""Summarise a run in one row per variant, as the numbers behind its tables.

Usage:
    summary = summarize("results/runs/quick-1")
    for variant in summary.variants:
        variant.label, variant.epoch_s.value, variant.comparisons
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.analysis.comparison.comparison_columns import ComparisonColumn, comparison_cells
from bench.analysis.comparison.run_noise import HALF_WIDTH, RunNoise, run_noise
from bench.analysis.loading.data_frames import trials_frame
from bench.analysis.loading.garbage_collection import collector_paused
from bench.analysis.loading.measurement_sessions import SESSION_COLUMNS, with_sessions
from bench.analysis.loading.record_arrays import RecordArrays
from bench.analysis.loading.record_loading import load_records
from bench.analysis.loading.run_frames import RunFrames
from bench.analysis.loading.trial_filters import is_timed
from bench.analysis.questions.core_use import CORE_COLUMNS, CoreUse, core_use
from bench.analysis.questions.device_remarks import has_unfused_batch_norm
from bench.analysis.questions.scaling import COLUMNS, scaling, varies_replicas
from bench.analysis.questions.secondary_metrics import MEASURED_COLUMNS, with_step_shares
from bench.analysis.questions.time_breakdown import WALL_COLUMNS, TimeBreakdown, time_breakdown
from bench.analysis.variant_summary import VariantSummary, planned_blocks, variant_summaries
from bench.records.run_folder import RunFolder
from bench.records.run_info import Invocation, RunInfo
from bench.records.stopping_record import Stopping
from bench.spec.expand import Duplicate
from bench.spec.variant import Variant


@dataclass(frozen=True)
class Summary:
    """A run: its plan, its results, and where its time went."""

    run: Path
    name: str
    description: str
    remark: str
    blocks: int
    trials: int
    """Planned trials."""
    completed: int
    retried: int
    """Attempts that a later attempt replaced."""
    unclassified: int
    """Completed trials whose times are used although they had too few epochs to be classified."""
    sessions: int
    """Sessions with a completed trial."""
    unfused_batch_norm: bool
    """Whether a trial computed batch norm on GPUs as Keras does, not in one kernel."""
    duplicates: tuple[Duplicate, ...]
    """Variants of the suite that train exactly like others, and did not run."""
    stopping: Stopping | None
    """The last look of a run with a precision; None in other runs."""
    invocations: tuple[Invocation, ...]
    columns: tuple[ComparisonColumn, ...]
    scaling_columns: tuple[str, ...]
    """Names in ``scaling.COLUMNS`` with at least one result."""
    variants: tuple[VariantSummary, ...]
    """In the order of the suite."""
    wall: TimeBreakdown
    noise: RunNoise | None
    """How far the ratios of blocks vary; None if no comparison has two blocks in a session."""
    cores: CoreUse | None
    """What used the cores while trials ran; None if it was not measured."""


_BASE_COLUMNS = (
    *("trial_id", "variant_id", "label", "block", "invocation", "status", "error", "throttled"),
    "cpu_taken_share",
    *("epoch_s", "val_accuracy", "test_accuracy", "dataset", "examples"),
    *("workload", "jit", "norm"),
    *("workers", "replicas", "global_batch_size", "communication", "max_steps", "steady"),
)


@collector_paused()
def summarize(run: Path | str) -> Summary:
    """Summarise the run folder ``run``.

    Raises RunFolderError if it is not a run folder or a record in it is damaged.
    """
    folder = RunFolder.open(run)
    info, raw = folder.info(), load_records(folder, all_attempts=True)
    attempts = with_sessions(trials_frame(raw, _needed_columns(info, raw)), info.invocations)
    return _summary(folder.path, info, raw, attempts)


@collector_paused()
def summary_of(frames: RunFrames) -> Summary:
    """Summarise a run whose records have been read."""
    return _summary(frames.folder.path, frames.info, frames.raw, frames.attempts)


def _summary(path: Path, info: RunInfo, raw: RecordArrays, attempts: pd.DataFrame) -> Summary:
    attempts = with_step_shares(attempts, raw).assign(settings=raw.settings_code)
    trials = attempts[~attempts["trial_id"].duplicated(keep="last")]
    completed = trials[trials["status"] == "completed"]
    timed = completed[is_timed(completed)]
    cells = comparison_cells(info, trials, raw, planned_blocks(info))
    scaled = scaling(trials, raw.settings, planned_blocks(info))
    return Summary(
        run=path,
        name=str(info.suite.get("name", path.name)),
        description=str(info.suite.get("description", "")),
        remark=info.remark,
        blocks=planned_blocks(info),
        trials=len(info.trial_ids),
        completed=len(completed),
        retried=len(attempts) - len(trials),
        unclassified=int((timed["steady"] == "unclassified").sum()),
        sessions=int(completed["session"].nunique()),
        unfused_batch_norm=any(
            has_unfused_batch_norm(raw.settings[code]) for code in completed["settings"].unique()
        ),
        duplicates=info.duplicates,
        stopping=info.stopping,
        invocations=info.invocations,
        columns=cells.columns,
        scaling_columns=tuple(
            c for c in COLUMNS if any(c in each.shares for each in scaled.values())
        ),
        variants=variant_summaries(
            info,
            trials,
            completed,
            timed,
            cells,
            scaled,
            raw,
        ),
        wall=time_breakdown(attempts, info.invocations),
        noise=run_noise(cells.compared, info.suite.get("precision") or HALF_WIDTH),
        cores=core_use(completed),
    )


def _needed_columns(info: RunInfo, raw: RecordArrays) -> tuple[str, ...]:
    """Return the columns that a summary reads: building all takes a second for a large run."""
    axes = {pair.axis for pair in info.pairs}
    all_axes = "label" in axes or varies_replicas(raw.columns["workers"], raw.columns["replicas"])
    settings = Variant.model_fields if all_axes else axes & Variant.model_fields.keys()
    measured = (*WALL_COLUMNS, *SESSION_COLUMNS, *CORE_COLUMNS, *MEASURED_COLUMNS)
    return tuple(dict.fromkeys((*_BASE_COLUMNS, *measured, *settings)))
