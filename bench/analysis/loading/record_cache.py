"""Cache the arrays read from many records, in the user's cache folder.

Usage:
    fingerprint = folder.fingerprint()                       # before the records are read
    raw = load_cached(folder.path, fingerprint)        # None: read the records instead
    store_cached(folder.path, fingerprint, raw)

The records remain the source of truth. A cache entry is used only by the user who wrote it, on the
same machine, while run.json and every record are the very files that were read
(``RunFolder.fingerprint``) and this version of the package reads the same fields. A run folder
never brings a cache with it. The file holds numbers and JSON, no pickle.
"""

import contextlib
import dataclasses
import hashlib
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import from_json, to_json

from bench.analysis.loading.array_builder import NAMES
from bench.analysis.loading.record_arrays import ALL_EPOCH_FIELDS, RecordArrays
from bench.analysis.statistics.turn_ratios import Windows
from bench.errors import StorageError
from bench.files.bounded_reading import GiB
from bench.files.folder import Folder
from bench.files.private_folder import private_folder
from bench.records.atomic_write import staged_file
from bench.records.read_records import Fingerprint
from bench.records.trial_record import SCHEMA_VERSION
from bench.spec.axis_groups import LATER_AXES

CACHE_VERSION = 4
"""Raise this when the same columns change their meaning."""
MAX_RUNS = 8
"""Number of runs in the cache; the most recently stored stay."""
MIN_FILE_AGE_S = 2.0
"""A file that changed more recently is not cached: it could change again with the same timestamp,
since some file systems count time in steps of two seconds."""
_MAX_BYTES = 8 * GiB
_WINDOW_FIELDS = tuple(field.name for field in dataclasses.fields(Windows))


def load_cached(run: Path, fingerprint: Fingerprint) -> RecordArrays | None:
    """Return the cached arrays of ``run`` if they match ``fingerprint``, or None."""
    try:
        with (
            _folder().reader(_file_name(run), _MAX_BYTES) as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
            if arrays["of"].tobytes() != _digest(fingerprint):
                return None
            metadata: dict[str, Any] = from_json(arrays["about"].tobytes())
            epochs = arrays["epochs"]
            return RecordArrays(
                columns={name: tuple(values) for name, values in metadata["columns"].items()},
                epochs=dict(zip(ALL_EPOCH_FIELDS, epochs, strict=True)),
                epoch_counts=arrays["epoch_counts"],
                settings_code=arrays["settings_code"],
                settings=tuple(metadata["settings"]),
                windows={int(row): tuple(windows) for row, windows in metadata["windows"].items()},
                warnings={int(row): tuple(texts) for row, texts in metadata["warnings"].items()},
                turns=Windows(*(arrays[f"turn_{name}"] for name in _WINDOW_FIELDS)),
            )
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        return None


def store_cached(run: Path, fingerprint: Fingerprint, raw: RecordArrays) -> None:
    """Cache ``raw`` of ``run``; failing to write is not an error."""
    newest_ns = max((changed_ns for *_, changed_ns in fingerprint), default=0)
    if newest_ns > time.time_ns() - MIN_FILE_AGE_S * 1e9:
        return
    metadata = {
        "columns": raw.columns,
        "settings": raw.settings,
        "windows": raw.windows,
        "warnings": raw.warnings,
    }
    arrays: dict[str, Any] = {
        "of": np.frombuffer(_digest(fingerprint), np.uint8),
        "about": np.frombuffer(to_json(metadata, inf_nan_mode="constants"), np.uint8),
        "epochs": np.stack([raw.epochs[name] for name in ALL_EPOCH_FIELDS]),
        "epoch_counts": raw.epoch_counts,
        "settings_code": raw.settings_code,
        **{f"turn_{name}": getattr(raw.turns, name) for name in _WINDOW_FIELDS},
    }
    with contextlib.suppress(OSError, StorageError):
        folder = _folder()
        with staged_file(folder, _file_name(run)) as file:
            np.savez(file, **arrays)
        for path in _newest_first(folder.path)[MAX_RUNS:]:
            path.unlink()


def _folder() -> Folder:
    return Folder(private_folder("records"))


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _file_name(run: Path) -> str:
    """Return the cache file of ``run`` on this machine; machines may share a home folder."""
    location = os.uname().nodename, os.path.realpath(run)
    return hashlib.sha256(repr(location).encode()).hexdigest()[:32] + ".npz"


def _digest(fingerprint: Fingerprint) -> bytes:
    """Hash the fingerprint of the files, and the fields that this version of the package reads."""
    reader = CACHE_VERSION, SCHEMA_VERSION, NAMES, ALL_EPOCH_FIELDS, LATER_AXES
    return hashlib.sha256(repr((fingerprint, reader)).encode()).digest()
