"""What looks at the layers found, as a data frame: one row a trial, look and layer.

Usage:
    health = load_health("results/runs/deep-1")
    health[(health["kind"] == "dense") & (health["after_epochs"] == 0)]

Read apart from the other tables, which nobody shall wait longer for. Null is what a layer does
not have, infinite what is no finite number.
"""

import itertools
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.analysis.loading.frame_columns import health_columns
from bench.analysis.loading.raw_records import collector_paused
from bench.records.epoch_record import EpochRecord
from bench.records.run_folder import RunFolder
from bench.records.trial_record import TrialRecord

if TYPE_CHECKING:
    import pandas as pd

_Look = dict[str, Any]
_OF_TRIAL = ("trial_id", "variant_id", "label", "block")
_OF_STEPS = {"clipped_share": "clipped_steps", "skipped_share": "skipped_steps"}
_ONCE = frozenset({*_OF_TRIAL, *_OF_STEPS, "after_epochs"})
"""What is one value a look; the rest are one a layer."""
_NUMBERS = tuple(
    n for n, dtype in health_columns().items() if dtype == "float64" and n not in _ONCE
)


@collector_paused()
def load_health(run: Path | str, variants: Collection[str] | None = None) -> "pd.DataFrame":
    """All looks of the run folder ``run``, in planned order, of the last attempt at each trial.

    ``variants`` are ids to be read alone. Raises RunFolderError where ``run`` is no run folder
    or holds a damaged record.
    """
    return _frame(_looked_at(RunFolder.open(run), variants))


def _looked_at(folder: RunFolder, variants: Collection[str] | None) -> list[_Look]:
    """Every look in planned order, its numbers as arrays: as lists they would fill the memory."""
    found: list[tuple[int, list[_Look]]] = []
    for record in folder.records(which=lambda raw: bool(raw.get("health"))):
        if variants is None or record.trial.variant_id in variants:
            found.append((record.trial.order, list(_looks(record))))
    return [look for _, looks in sorted(found, key=lambda one: one[0]) for look in looks]


def _looks(record: TrialRecord) -> Iterator[_Look]:
    """Each look with what is known of its trial, and of the steps of the epoch before it."""
    import numpy as np

    trial = {name: getattr(record.trial, name) for name in _OF_TRIAL}
    epochs = {epoch.epoch + 1: epoch for epoch in record.epochs}
    for look in record.health:
        before = epochs.get(look.after_epochs)
        yield {
            **{name: np.asarray(getattr(look, name), dtype=float) for name in _NUMBERS},
            **trial,
            **{share: _share(before, steps) for share, steps in _OF_STEPS.items()},
            "after_epochs": look.after_epochs,
            "kind": [sys.intern(kind) for kind in look.kind],
            "depth": look.depth,
            "layer": range(len(look.kind)),
        }


def _share(epoch: EpochRecord | None, steps: str) -> float | None:
    taken: int | None = getattr(epoch, steps) if epoch else None
    return None if epoch is None or taken is None else taken / epoch.steps


def _frame(looks: list[_Look]) -> "pd.DataFrame":
    import numpy as np
    import pandas as pd

    sizes = [len(look["kind"]) for look in looks]

    def column(name: str, dtype: str) -> Any:
        values = [look[name] for look in looks]
        if name in _ONCE:
            return pd.Series(values, dtype=dtype).repeat(sizes).reset_index(drop=True)
        if name in _NUMBERS:
            return pd.Series(np.concatenate([np.empty(0), *values]))
        return pd.Series(list(itertools.chain.from_iterable(values)), dtype=dtype)

    return pd.DataFrame({name: column(name, dtype) for name, dtype in health_columns().items()})
