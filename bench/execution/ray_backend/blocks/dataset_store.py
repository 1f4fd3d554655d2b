"""Keep the data sets of a run in Ray's object store: read each once, and keep it while needed.

Usage:
    datasets = DatasetStore()
    datasets.preload(trials)                    # real data, before anything starts
    reference = datasets.reference(trial)       # for a worker
    datasets.evict_unused(remaining_trials)
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ObjectStoreFullError, OutOfDiskError

from bench.datasets.load import dataset_key, load_arrays, real_variants
from bench.errors import DataError, StorageError
from bench.execution.ray_backend.local.ray_storage import logs_folder
from bench.files.disk_space import room
from bench.records.trial_record import Status
from bench.spec.plan import Trial
from bench.spec.variant import Variant

_SHARED_MEMORY = Path("/dev/shm")
"""Where Ray's object store is; Ray moves what does not fit to its own folder."""


class DatasetUnavailable(Exception):  # noqa: N818 (a trial's result, not a bug)
    """A trial's data could not be made or read; ``status`` is that of its record."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class DatasetStore:
    """References to data sets, by the settings that distinguish them."""

    def __init__(self) -> None:
        self._references: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._references)

    def preload(self, trials: Iterable[Trial]) -> None:
        """Load the real data that ``trials`` need, because each would fail without it.

        Raises DatasetError if the data is unavailable, StorageError if Ray has no room for it.
        """
        for variant in real_variants(trial.variant for trial in trials):
            try:
                self._reference(variant)
            except (ObjectStoreFullError, OutOfDiskError) as error:
                raise StorageError(_reason(error)) from None

    def reference(self, trial: Trial) -> Any:
        """Return the data of ``trial`` in the object store; DatasetUnavailable if it fails."""
        try:
            return self._reference(trial.variant)
        except (MemoryError, ObjectStoreFullError) as error:
            raise DatasetUnavailable("out_of_memory", _reason(error)) from error
        except Exception as error:
            raise DatasetUnavailable("failed", _reason(error)) from error

    def evict_unused(self, trials: Iterable[Trial]) -> None:
        """Forget data that none of ``trials`` needs; Ray frees it once no worker uses it either."""
        needed = {dataset_key(trial.variant) for trial in trials}
        for key in self._references.keys() - needed:
            del self._references[key]

    def clear(self) -> None:
        """Forget everything."""
        self._references.clear()

    def _reference(self, variant: Variant) -> Any:
        key = dataset_key(variant)
        if key not in self._references:
            self._references[key] = ray.put(load_arrays(variant))
        return self._references[key]


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, DataError):
        return text
    if isinstance(error, ObjectStoreFullError | OutOfDiskError):
        return (
            f"Ray's object store has no room for the data ({type(error).__name__}): "
            f"free space on the disks at {room(_SHARED_MEMORY)} and {room(logs_folder())}"
        )
    return f"the data could not be loaded: {type(error).__name__}: {text}".removesuffix(": ")
