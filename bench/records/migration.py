"""Migrate documents from older schemas to the current one, one small function per step.

``STEPS[n]`` turns a document of schema version n into one of version n + 1. A new axis needs no
step if its default is the previous behaviour: a record without the axis is read with the default
of the axis's field in ``bench.spec.axes``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.errors import RunFolderError
from bench.records.trial_record import SCHEMA_VERSION

_Document = dict[str, Any]

STEPS: dict[int, Callable[[_Document], _Document]] = {}


def migrate(document: _Document, path: Path | str) -> _Document:
    """Return ``document`` in the current schema; RunFolderError if its schema is newer."""
    version = document["schema_version"]
    if version > SCHEMA_VERSION:
        raise RunFolderError(
            f"{path}: schema version {version} is newer than {SCHEMA_VERSION}, the newest that "
            "this bench reads: install a newer trainbench"
        )
    while version < SCHEMA_VERSION:
        step = STEPS.get(version)
        if step is None:
            raise RunFolderError(f"{path}: schema version {version} is not one of bench's")
        document = {**step(document), "schema_version": version + 1}
        version += 1
    return document
