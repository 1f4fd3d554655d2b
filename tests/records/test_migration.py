"""Older schemas are migrated step by step; newer ones are refused."""

from pathlib import Path
from typing import Any

import pytest

from bench.errors import RunFolderError
from bench.records import migration
from bench.records.migration import migrate
from bench.records.trial_record import SCHEMA_VERSION

PATH = Path("run/trials/b000.json")


def test_the_current_schema_is_unchanged() -> None:
    document = {"schema_version": SCHEMA_VERSION, "a": 1}
    assert migrate(document, PATH) == document


def test_a_newer_schema_is_refused_with_what_to_install() -> None:
    with pytest.raises(RunFolderError, match=r"b000\.json: schema version 99 is newer than.*newer"):
        migrate({"schema_version": 99}, PATH)


@pytest.mark.parametrize("version", [-1, 0])
def test_an_unknown_version_is_refused(version: int) -> None:
    with pytest.raises(RunFolderError, match=f"version {version} is not one of bench"):
        migrate({"schema_version": version}, PATH)


def test_all_steps_are_applied_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(name: str) -> Any:
        return lambda document: {**document, "taken": [*document.get("taken", []), name]}

    monkeypatch.setitem(migration.STEPS, SCHEMA_VERSION - 2, step("first"))
    monkeypatch.setitem(migration.STEPS, SCHEMA_VERSION - 1, step("second"))
    old = {"schema_version": SCHEMA_VERSION - 2, "kept": [1]}
    assert migrate(old, PATH) == {
        "schema_version": SCHEMA_VERSION,
        "kept": [1],
        "taken": ["first", "second"],
    }
    assert old == {"schema_version": SCHEMA_VERSION - 2, "kept": [1]}


def test_every_earlier_version_has_a_step() -> None:
    assert set(migration.STEPS) == set(range(1, SCHEMA_VERSION))
