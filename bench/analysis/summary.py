"""Summarise a run in one row per variant, as the numbers behind its tables.

Usage:
    summary = summarize("results/runs/quick-1")
    for variant in summary.variants:
        variant.label, variant.epoch_s.value, variant.comparisons
"""

from dataclasses import dataclass
from pathlib import Path

from bench.analysis.comparison.comparison_columns import ComparisonColumn, comparison_cells
from bench.analysis.comparison.planned_blocks import blocks_by_variant
from bench.analysis.comparison.run_noise import HALF_WIDTH, RunNoise, run_noise
from bench.analysis.loading.garbage_collection import collector_paused
from bench.analysis.loading.run_frames import RunFrames, read_frames
from bench.analysis.loading.trial_filters import is_timed
from bench.analysis.questions.core_use import CoreUse, core_use
from bench.analysis.questions.device_remarks import has_unfused_batch_norm
from bench.analysis.questions.scaling import COLUMNS, scaling
from bench.analysis.questions.secondary_metrics import with_step_shares
from bench.analysis.questions.time_breakdown import TimeBreakdown, time_breakdown
from bench.analysis.variant_summary import VariantSummary, variant_summaries
from bench.records.run_folder import RunFolder
from bench.records.run_info import Invocation
from bench.records.stopping_record import Stopping
from bench.spec.expand import Duplicate


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


@collector_paused()
def summarize(run: Path | str) -> Summary:
    """Summarise the run folder ``run``.

    Raises RunFolderError if it is not a run folder or a record in it is damaged.
    """
    return summary_of(read_frames(RunFolder.open(run)))


@collector_paused()
def summary_of(frames: RunFrames) -> Summary:
    """Summarise a run whose records have been read."""
    path, info, raw = frames.folder.path, frames.info, frames.raw
    attempts = with_step_shares(frames.attempts, raw).assign(settings=raw.settings_code)
    trials = attempts[~attempts["trial_id"].duplicated(keep="last")]
    completed = trials[trials["status"] == "completed"]
    timed = completed[is_timed(completed)]
    blocks = blocks_by_variant(info.trial_ids)
    cells = comparison_cells(info, trials, raw, blocks)
    scaled = scaling(trials, raw.settings, blocks, raw.turns)
    return Summary(
        run=path,
        name=str(info.suite.get("name", path.name)),
        description=str(info.suite.get("description", "")),
        remark=info.remark,
        blocks=int(info.suite.get("blocks", 1)),
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
            blocks,
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
