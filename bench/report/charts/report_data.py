"""Read a run into the data that a report shows: summary, attempts, trials and epochs.

Usage:
    run = read_run(Path("results/runs/quick-1"))
    run.variants["norm"]          # one row for each variant, in the suite's order
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis.comparison.comparison_columns import ComparisonColumn
from bench.analysis.loading.run_frames import RunFrames, read_frames
from bench.analysis.questions.layer_health_frame import load_health
from bench.analysis.statistics.turn_ratios import Windows
from bench.analysis.summary import Summary, summary_of
from bench.records.run_folder import RunFolder
from bench.report.text.escaping import visible
from bench.spec.axis_groups import LENGTH_AXES, OBSERVATION_AXES
from bench.spec.pairing import Pair
from bench.spec.variant import Variant

NOT_AXES = LENGTH_AXES | OBSERVATION_AXES
"""Settings that say how long a variant runs or what it records, not what it trains."""

CUT_SHORT = " Some variants ran shortened epochs; the times of full epochs are extrapolated."
"""Added to the text of a chart of times if ``ReportData.cut_short``."""


@dataclass(frozen=True, eq=False)
class ReportData:
    """A run as frames. ``name`` distinguishes it from the other runs of the same page."""

    name: str
    summary: Summary
    attempts: pd.DataFrame
    trials: pd.DataFrame
    """The last attempt of each trial."""
    epochs: pd.DataFrame
    turns: Windows
    """The windows of trials that took turns, by their index in ``attempts``."""
    pairs: tuple[Pair, ...]
    """Each variant and the baseline that the suite compares it with."""
    suite: dict[str, Any]
    """The suite that was run, as plain data."""
    path: Path
    """The run folder."""

    @cached_property
    def variants(self) -> pd.DataFrame:
        """The label and settings of each variant that has a record, indexed by variant id."""
        rows = self.trials.drop_duplicates("variant_id").set_index("variant_id")
        rows = rows[["label", *Variant.model_fields]].copy()
        rows["replicas"] = rows["workers"] * rows["replicas"]
        order = [v.variant_id for v in self.summary.variants if v.variant_id in rows.index]
        return rows.loc[order]

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """The settings that differ between variants; ``replicas`` counts those of all workers."""
        frame = self.variants.drop(columns=["label", "workers"])
        return tuple(
            name
            for name in frame.columns
            if name not in NOT_AXES and frame[name].astype(str).nunique() > 1
        )

    @property
    def cut_short(self) -> bool:
        """Whether ``max_steps`` shortened the epochs of any variant."""
        return any(variant.capped_steps for variant in self.summary.variants)

    @cached_property
    def epochs_of_variants(self) -> pd.DataFrame:
        """The epochs of completed trials, with ``variant_id`` and ``label``."""
        completed = self.trials["status"] == "completed"
        names = self.trials.loc[completed, ["trial_id", "variant_id", "label"]]
        return self.epochs.merge(names, on="trial_id")

    def health_of(self, variants: Collection[str]) -> pd.DataFrame:
        """Load the layer health of these variants, only when needed: most runs have none."""
        return load_health(self.path, variants)

    def baseline(self, column: ComparisonColumn) -> str:
        """Return the baseline of a comparison as the frames spell it: "False" for "false"."""
        values = self.variants[column.axis].astype(str)
        return next((v for v in values if v.lower() == column.baseline), column.baseline)


def read_run(path: Path, name: str | None = None) -> ReportData:
    """Read the run folder ``path``.

    Raises RunFolderError if it is not a run folder or holds a damaged record.
    """
    return report_data(read_frames(RunFolder.open(path)), name)


def report_data(frames: RunFrames, name: str | None = None) -> ReportData:
    """Return the data of a report on a run that has been read; see ``read_run``."""
    path = frames.folder.path
    return ReportData(
        name=visible(name or path.resolve().name),
        summary=summary_of(frames),
        attempts=frames.attempts,
        trials=frames.trials,
        epochs=frames.epochs,
        pairs=frames.info.pairs,
        suite=frames.info.suite,
        turns=frames.raw.turns,
        path=path,
    )
