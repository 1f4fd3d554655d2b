"""What was read of many records, kept in this user's cache for the next time.

Usage:
    marks = folder.marks()                       # before the records are read
    raw = load(folder.path, marks)               # None where it is to be read from the records
    keep(folder.path, marks, raw)

The records stay the truth. What is kept is used only by the user who read it, on the machine where
that was, and while run.json and every record are the very files that were read
(``RunFolder.marks``) and this version of the package reads the same of it. A run folder that comes
from elsewhere brings nothing of the kind with it. It holds numbers and JSON, no pickle.
"""

import contextlib
import hashlib
import os
import time
import zipfile
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from bench.analysis.raw import ALL_EPOCH_FIELDS, NAMES, VARIANT_DEFAULTS, RawRun
from bench.errors import StorageError
from bench.files.folder import Folder
from bench.files.private_folder import private_folder
from bench.files.reading import GiB
from bench.records.disk import aside
from bench.records.read import Marks
from bench.records.record import SCHEMA_VERSION

VERSION = 3
"""To be raised where the same columns come to hold something else."""
MOST_RUNS = 8
"""Runs of which it is kept, the last that were read."""
UNSETTLED_S = 2.0
"""A file that changed so recently may change again without its times showing it: file systems
count them in steps of up to two seconds."""
_MOST_BYTES = 8 * GiB


def load(run: Path, marks: Marks) -> RawRun | None:
    """What was kept of the records with these ``marks`` in ``run``; None where that is nothing."""
    import numpy as np

    try:
        with (
            _folder().reader(_name(run), _MOST_BYTES) as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
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
                warnings={int(row): tuple(texts) for row, texts in about["warnings"].items()},
            )
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        return None


def keep(run: Path, marks: Marks, raw: RawRun) -> None:
    """Keep ``raw`` of ``run``, where that can be; where it cannot, nothing is lost."""
    import numpy as np

    newest_ns = max((changed_ns for *_, changed_ns in marks), default=0)
    if newest_ns > time.time_ns() - UNSETTLED_S * 1e9:
        return
    about = {
        "columns": raw.columns,
        "settings": raw.settings,
        "windows": raw.windows,
        "warnings": raw.warnings,
    }
    arrays: dict[str, Any] = {
        "of": np.frombuffer(_digest(marks), np.uint8),
        "about": np.frombuffer(to_json(about, inf_nan_mode="constants"), np.uint8),
        "epochs": np.stack([raw.epochs[name] for name in ALL_EPOCH_FIELDS]),
        "epoch_counts": raw.epoch_counts,
        "settings_code": raw.settings_code,
    }
    with contextlib.suppress(OSError, StorageError):
        folder = _folder()
        with aside(folder, _name(run)) as file:
            np.savez(file, **arrays)
        for path in _newest_first(folder.path)[MOST_RUNS:]:
            path.unlink()


def _folder() -> Folder:
    return Folder(private_folder("records"))


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _name(run: Path) -> str:
    """The file for ``run`` on this machine: several may share a home."""
    place = os.uname().nodename, os.path.realpath(run)
    return hashlib.sha256(repr(place).encode()).hexdigest()[:32] + ".npz"


def _digest(marks: Marks) -> bytes:
    """Of the files that were read, and of what this version of the package reads of them."""
    reader = VERSION, SCHEMA_VERSION, NAMES, ALL_EPOCH_FIELDS, VARIANT_DEFAULTS
    return hashlib.sha256(repr((marks, reader)).encode()).digest()
