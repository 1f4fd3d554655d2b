"""What was read of many records, kept in one file for the next time.

Usage:
    raw = load(folder.kept, folder.marks())      # None where it is to be read from the records
    keep(folder.kept, folder.marks(), raw)

The records stay the truth. The file is used only while their names, sizes and times, and what
this version of the package reads of them, are as they were; else it is made anew. It holds
numbers and JSON, no pickle: one from a stranger is safe to open.
"""

import contextlib
import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from bench.analysis.raw import ALL_EPOCH_FIELDS, NAMES, VARIANT_DEFAULTS, RawRun
from bench.errors import StorageError
from bench.records.disk import aside
from bench.records.record import SCHEMA_VERSION

Marks = Sequence[tuple[str, int, int]]
VERSION = 2
"""To be raised where the same columns come to hold something else."""


def load(path: Path, marks: Marks) -> RawRun | None:
    """What was kept at ``path`` of the records with these ``marks``; None where that is nothing."""
    import numpy as np

    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if arrays["of"].tobytes() != _digest(marks):
                return None
            about: dict[str, Any] = from_json(arrays["about"].tobytes())
            epochs = arrays["epochs"]
            return RawRun(
                columns={name: tuple(values) for name, values in about["columns"].items()},
                epochs=dict(zip(ALL_EPOCH_FIELDS, epochs, strict=True)),
                epoch_counts=arrays["epoch_counts"],
                settings_code=arrays["settings_code"],
                settings=tuple(about["settings"]),
                windows={int(row): tuple(times) for row, times in about["windows"].items()},
            )
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        return None


def keep(path: Path, marks: Marks, raw: RawRun) -> None:
    """Keep ``raw`` at ``path``, where that can be written; where it cannot, nothing is lost."""
    import numpy as np

    about = {"columns": raw.columns, "settings": raw.settings, "windows": raw.windows}
    arrays: dict[str, Any] = {
        "of": np.frombuffer(_digest(marks), np.uint8),
        "about": np.frombuffer(to_json(about, inf_nan_mode="constants"), np.uint8),
        "epochs": np.stack([raw.epochs[name] for name in ALL_EPOCH_FIELDS]),
        "epoch_counts": raw.epoch_counts,
        "settings_code": raw.settings_code,
    }
    with (
        contextlib.suppress(StorageError),
        aside(path) as temporary,
        temporary.open("wb") as file,
    ):
        np.savez(file, **arrays)


def _digest(marks: Marks) -> bytes:
    """Of the files that were read, and of what this version of the package reads of them."""
    reader = VERSION, SCHEMA_VERSION, NAMES, ALL_EPOCH_FIELDS, VARIANT_DEFAULTS
    return hashlib.sha256(repr((list(marks), reader)).encode()).digest()
