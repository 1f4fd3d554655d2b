"""Load layer health as a data frame: one row per trial, examination and layer.

Usage:
    health = load_health("results/runs/deep-1")
    health[(health["kind"] == "dense") & (health["after_epochs"] == 0)]

It is loaded separately, so that the other tables do not wait for it. Null marks what a layer does
not have; infinite marks a value that is not finite.
"""

import itertools
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.loading.frame_columns import health_columns
from bench.analysis.loading.garbage_collection import collector_paused
from bench.records.epoch_record import EpochRecord
from bench.records.run_folder import RunFolder
from bench.records.trial_record import TrialRecord

_Examination = dict[str, Any]
_TRIAL_NAMES = ("trial_id", "variant_id", "label", "block")
_STEP_SHARES = {"clipped_share": "clipped_steps", "skipped_share": "skipped_steps"}
_PER_EXAMINATION = frozenset({*_TRIAL_NAMES, *_STEP_SHARES, "after_epochs"})
"""Columns with one value per examination; the others have one per layer."""
_PER_LAYER = tuple(
    n for n, dtype in health_columns().items() if dtype == "float64" and n not in _PER_EXAMINATION
)


@collector_paused()
def load_health(run: Path | str, variants: Collection[str] | None = None) -> pd.DataFrame:
    """Return all examinations of the run folder ``run``, in planned order, from last attempts.

    ``variants`` limits them to these variant ids. Raises RunFolderError if ``run`` is not a run
    folder or a record in it is damaged.
    """
    return _frame(_examinations(RunFolder.open(run), variants))


def _examinations(folder: RunFolder, variants: Collection[str] | None) -> list[_Examination]:
    """Return every examination in planned order, with arrays: lists would fill the memory."""
    by_order: list[tuple[int, list[_Examination]]] = []
    for record in folder.records(which=lambda raw: bool(raw.get("health"))):
        if variants is None or record.trial.variant_id in variants:
            by_order.append((record.trial.order, list(_of_record(record))))
    return [
        examination
        for _, examinations in sorted(by_order, key=lambda pair: pair[0])
        for examination in examinations
    ]


def _of_record(record: TrialRecord) -> Iterator[_Examination]:
    """Yield each examination with its trial's columns and the step shares of the previous epoch."""
    trial = {name: getattr(record.trial, name) for name in _TRIAL_NAMES}
    epochs = {epoch.epoch + 1: epoch for epoch in record.epochs}
    for examination in record.health:
        epoch = epochs.get(examination.after_epochs)
        yield {
            **{name: np.asarray(getattr(examination, name), dtype=float) for name in _PER_LAYER},
            **trial,
            **{share: _share(epoch, steps) for share, steps in _STEP_SHARES.items()},
            "after_epochs": examination.after_epochs,
            "kind": [sys.intern(kind) for kind in examination.kind],
            "depth": examination.depth,
            "layer": range(len(examination.kind)),
        }


def _share(epoch: EpochRecord | None, steps: str) -> float | None:
    count: int | None = getattr(epoch, steps) if epoch else None
    return None if epoch is None or count is None else count / epoch.steps


def _frame(examinations: list[_Examination]) -> pd.DataFrame:
    sizes = [len(examination["kind"]) for examination in examinations]

    def column(name: str, dtype: str) -> Any:
        values = [examination[name] for examination in examinations]
        if name in _PER_EXAMINATION:
            return pd.Series(values, dtype=dtype).repeat(sizes).reset_index(drop=True)
        if name in _PER_LAYER:
            return pd.Series(np.concatenate([np.empty(0), *values]))
        return pd.Series(list(itertools.chain.from_iterable(values)), dtype=dtype)

    return pd.DataFrame({name: column(name, dtype) for name, dtype in health_columns().items()})
