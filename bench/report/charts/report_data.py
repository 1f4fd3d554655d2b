"""What a report is made from: a run's summary, its attempts, trials and epochs.

Usage:
    run = read_run(Path("results/runs/quick-1"))
    run.variants["norm"]          # one row a variant, in the suite's order
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.analysis.comparison.comparison_columns import ComparisonColumn
from bench.analysis.loading.raw_records import ALL_EPOCH_FIELDS, collector_paused
from bench.analysis.loading.record_loading import load_records
from bench.analysis.questions.layer_health_frame import load_health
from bench.analysis.summary import Summary
from bench.records.run_folder import RunFolder
from bench.report.text.escaping import visible
from bench.spec.expand import Pair
from bench.spec.inert_settings import OBSERVING
from bench.spec.variant import Variant

if TYPE_CHECKING:
    import pandas as pd

NO_AXES = frozenset({"target_accuracy", "epochs", "warmup_epochs", *OBSERVING})
"""Settings that say how long a variant runs or what is looked at, not what it is."""

CUT_SHORT = " Of some variants epochs were cut short, and the times of whole ones extrapolated."
"""What a chart of times adds where ``ReportData.cut_short``."""


@dataclass(frozen=True, eq=False)
class ReportData:
    """A run as frames. ``name`` tells it from the other runs of the same page."""

    name: str
    summary: Summary
    attempts: "pd.DataFrame"
    trials: "pd.DataFrame"
    """The last attempt at each trial."""
    epochs: "pd.DataFrame"
    pairs: tuple[Pair, ...]
    """What the suite compares with what."""
    suite: dict[str, Any]
    """As it was run, in plain data."""
    path: Path
    """Of its folder."""

    @cached_property
    def variants(self) -> "pd.DataFrame":
        """One row a variant that has a record: its label and settings, by its id."""
        firsts = self.trials.drop_duplicates("variant_id").set_index("variant_id")
        firsts = firsts[["label", *Variant.model_fields]].copy()
        firsts["replicas"] = firsts["workers"] * firsts["replicas"]
        order = [v.variant_id for v in self.summary.variants if v.variant_id in firsts.index]
        return firsts.loc[order]

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """The settings that differ between its variants; ``replicas`` are those of all workers."""
        frame = self.variants.drop(columns=["label", "workers"])
        return tuple(
            name
            for name in frame.columns
            if name not in NO_AXES and frame[name].astype(str).nunique() > 1
        )

    @property
    def cut_short(self) -> bool:
        """Whether epochs of any variant left out steps for ``max_steps``."""
        return any(variant.capped_steps for variant in self.summary.variants)

    @cached_property
    def epochs_of_variants(self) -> "pd.DataFrame":
        """The epochs of completed trials, with ``variant_id`` and ``label``."""
        known = self.trials.loc[
            self.trials["status"] == "completed", ["trial_id", "variant_id", "label"]
        ]
        return self.epochs.merge(known, on="trial_id")

    def health_of(self, variants: Collection[str]) -> "pd.DataFrame":
        """``load_health`` of these variants, read when it is asked for; most runs have none."""
        return load_health(self.path, variants)

    def baseline(self, column: ComparisonColumn) -> str:
        """The baseline of a comparison as the frames' values read: "False" for "false"."""
        values = self.variants[column.axis].astype(str)
        return next((v for v in values if v.lower() == column.baseline), column.baseline)


@collector_paused()
def read_run(path: Path, name: str | None = None) -> ReportData:
    """Read the run folder ``path``.

    Raises RunFolderError where it is no run folder or holds a damaged record.
    """
    import numpy as np

    from bench.analysis.loading.data_frames import epochs_frame, trials_frame
    from bench.analysis.loading.measurement_sessions import with_sessions
    from bench.analysis.summary import summary_of

    folder = RunFolder.open(path)
    info, raw = (
        folder.info(),
        load_records(folder, all_attempts=True, epoch_fields=ALL_EPOCH_FIELDS),
    )
    attempts = with_sessions(trials_frame(raw), info.invocations)
    is_last = ~attempts["trial_id"].duplicated(keep="last")
    return ReportData(
        name=visible(name or path.resolve().name),
        summary=summary_of(folder, raw, attempts),
        attempts=attempts,
        trials=attempts[is_last],
        epochs=epochs_frame(raw)[np.repeat(is_last.to_numpy(), raw.epoch_counts)],
        pairs=info.pairs,
        suite=info.suite,
        path=path,
    )
