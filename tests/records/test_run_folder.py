"""A run folder loses nothing, is never half written, and is validated when it is read."""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.analysis.loading.record_loading import load_records
from bench.errors import BenchError, ResourceError, RunFolderError, StorageError
from bench.records import migration
from bench.records.run_folder import RunFolder
from bench.records.run_info import RunInfo
from bench.records.trial_record import SCHEMA_VERSION, TrialRecord
from bench.spec.axis_groups import LATER_AXES
from bench.spec.plan import Plan, make_plan
from bench.spec.suite import parse_suite

SUITE = {
    "name": "test",
    "blocks": 3,
    "matrix": {"norm": ["none", "layer"]},
    "compare": [{"axis": "norm", "baseline": "none"}],
}
PLAN: Plan = make_plan(parse_suite(SUITE))
INFO = RunInfo(
    suite=parse_suite(SUITE).model_dump(mode="json"),
    pairs=PLAN.pairs,
    trial_ids=tuple(t.trial_id for t in PLAN.trials),
)


def record(index: int = 0, **more: object) -> TrialRecord:
    return TrialRecord(**{"trial": PLAN.trials[index], "status": "completed", **more})


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", INFO)


def file_of(folder: RunFolder, index: int = 0) -> Path:
    return folder.trials / f"{PLAN.trials[index].trial_id}.json"


def refusal(error: type[BenchError], action: Callable[[], object]) -> str:
    with pytest.raises(error) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("axis", sorted(LATER_AXES))
def test_a_record_from_before_an_axis_was_added_is_read_with_the_behaviour_of_that_time(
    folder: RunFolder, axis: str
) -> None:
    folder.write(record())
    older = json.loads(file_of(folder).read_text())
    del older["trial"]["variant"][axis]
    file_of(folder).write_text(json.dumps(older))
    (read,) = folder.records()
    assert read == record()
    assert getattr(read.trial.variant, axis) == LATER_AXES[axis]
    value = LATER_AXES[axis]
    shown = str(list(value)) if isinstance(value, tuple) else value
    assert list(load_records(folder, all_attempts=False).columns[axis]) == [shown]


def test_a_record_without_an_original_axis_is_refused(folder: RunFolder) -> None:
    folder.write(record())
    damaged = json.loads(file_of(folder).read_text())
    del damaged["trial"]["variant"]["norm"]
    file_of(folder).write_text(json.dumps(damaged))
    assert "norm is missing" in refusal(RunFolderError, lambda: list(folder.records()))


def test_a_new_folder_holds_the_plan(folder: RunFolder) -> None:
    again = RunFolder.open(folder.path)
    assert again.info() == INFO
    assert parse_suite(again.info().suite).model_dump() == parse_suite(SUITE).model_dump()
    assert list(again.records()) == []


def test_an_existing_empty_folder_is_used(tmp_path: Path) -> None:
    assert RunFolder.create(tmp_path, INFO).info() == INFO


def test_a_path_that_is_in_use_is_refused(folder: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (folder.path, tmp_path / "file"):
        message = refusal(ResourceError, functools.partial(RunFolder.create, path, INFO))
        assert message == f"{path}: already exists and is not empty: choose another --out"
    beneath = tmp_path / "file" / "run"
    assert f"{tmp_path / 'file'} is not a folder" in refusal(
        StorageError, lambda: RunFolder.create(beneath, INFO)
    )


def test_records_are_read_back_unchanged_in_the_order_of_their_names(folder: RunFolder) -> None:
    written = [record(i, error=f"error {i}", log_tail="a\nb") for i in range(len(PLAN.trials))]
    for one in reversed(written):
        folder.write(one)
    read = list(RunFolder.open(folder.path).records())
    assert read == sorted(written, key=lambda r: r.trial.trial_id)


def test_an_earlier_attempt_is_kept_beside_the_last(folder: RunFolder) -> None:
    attempts = [
        record(status="worker_lost", attempt=1),
        record(status="failed", attempt=2),
        record(status="completed", attempt=3),
    ]
    for attempt in attempts:
        folder.write(attempt)
    name = PLAN.trials[0].trial_id
    assert sorted(p.name for p in folder.trials.iterdir()) == [
        f"{name}.attempt1.json",
        f"{name}.attempt2.json",
        f"{name}.json",
    ]
    assert list(folder.records()) == attempts[-1:]
    assert sorted(folder.records(all_attempts=True), key=lambda r: r.attempt) == attempts


def test_an_attempt_with_a_repeated_number_replaces_nothing(folder: RunFolder) -> None:
    folder.write(record(error="first"))
    folder.write(record(error="second"))
    assert {r.error for r in folder.records(all_attempts=True)} == {"first", "second"}


WRITE_FOR_EVER = """
import json, sys
from pathlib import Path
from bench.records.trial_record import TrialRecord
from bench.records.run_folder import RunFolder
folder = RunFolder.open(sys.argv[1])
with folder.locked():
    print("locked", flush=True)
    record = TrialRecord.model_validate_json(sys.stdin.read())
    long = record.model_copy(update={"log_tail": "x" * 20_000_000})
    for attempt in range(1, 1000):
        folder.write(long.model_copy(update={"attempt": attempt}))
"""


@contextlib.contextmanager
def second_driver(folder: RunFolder) -> Iterator[int]:
    """Start another driver, which writes to the folder until killed; return its process id."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(folder.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "locked\n"
            assert process.stdin is not None
            process.stdin.write(record().model_dump_json())
            process.stdin.close()
            yield process.pid
        finally:
            process.kill()


def half_written(folder: RunFolder) -> list[Path]:
    return [p for p in folder.trials.iterdir() if p.name.startswith(".")]


def kill_in_mid_write(folder: RunFolder) -> None:
    deadline = time.monotonic() + 60
    with second_driver(folder) as process_id:
        while not half_written(folder) and time.monotonic() < deadline:
            pass
        os.kill(process_id, signal.SIGKILL)


def test_a_driver_killed_while_writing_leaves_a_readable_folder(tmp_path: Path) -> None:
    for round_ in range(20):
        folder = RunFolder.create(tmp_path / f"run{round_}", INFO)
        folder.write(record(1, error="kept"))
        kill_in_mid_write(folder)
        read = list(RunFolder.open(folder.path).records(all_attempts=True))
        assert [r.error for r in read if r.trial == PLAN.trials[1]] == ["kept"]
        with folder.locked():
            folder.write(record(error="after"))
        assert "after" in {r.error for r in folder.records()}
        if half_written(folder):
            return
    pytest.fail("twenty kills, and none of them fell into a write")


def test_a_second_driver_is_refused_until_the_first_is_gone(folder: RunFolder) -> None:
    with second_driver(folder):
        message = refusal(ResourceError, folder.locked().__enter__)
        assert message.endswith(
            "another bench run is working on it: wait for it, or choose another --out"
        )
    with folder.locked():
        folder.write(record())


def test_a_path_that_is_not_a_run_folder_is_refused(tmp_path: Path) -> None:
    missing = refusal(RunFolderError, lambda: RunFolder.open(tmp_path / "none"))
    assert missing.endswith("none: no such run folder: name one that bench run made")
    assert "not a run folder (no run.json)" in refusal(
        RunFolderError, lambda: RunFolder.open(tmp_path)
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "damaged"),
        ('{"schema_version": 1, "suite": {', "damaged"),
        ("[]", "not a file of bench run"),
        ('{"suite": {}}', "not a file of bench run"),
        ('{"schema_version": 99}', "schema version 99 is newer"),
    ],
)
def test_a_damaged_or_newer_file_is_refused_by_name(
    content: str, message: str, folder: RunFolder
) -> None:
    folder.write(record())
    file_of(folder).write_text(content)
    error = refusal(RunFolderError, lambda: list(folder.records()))
    assert error.startswith(f"{file_of(folder)}: ")
    assert message in error
    (folder.path / "run.json").write_text(content)
    error = refusal(RunFolderError, lambda: RunFolder.open(folder.path))
    assert message in error
    assert "--resume" not in error  # without run.json there is nothing to go on with


def test_a_file_with_a_wrong_field_is_refused_with_the_field(folder: RunFolder) -> None:
    folder.write(record())
    content = json.loads(file_of(folder).read_text())
    file_of(folder).write_text(json.dumps({**content, "status": "fine"}))
    error = refusal(RunFolderError, lambda: list(folder.records()))
    assert error.startswith(f"{file_of(folder)}: status cannot be 'fine'")
    assert error.endswith("delete it and run again with --resume")
    file_of(folder).write_text(json.dumps({**content, "trial": 3}))
    error = refusal(RunFolderError, lambda: list(folder.records()))
    assert error == f"{file_of(folder)}: not a trial record: move it elsewhere"
    (folder.path / "run.json").write_text('{"schema_version": 1}')
    assert "suite is missing" in refusal(RunFolderError, lambda: RunFolder.open(folder.path))


def test_a_record_of_an_older_schema_is_migrated(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write(record())
    old = json.loads(file_of(folder).read_text())
    old["schema_version"] = SCHEMA_VERSION - 1
    old["outcome"] = old.pop("status")
    file_of(folder).write_text(json.dumps(old))
    monkeypatch.setitem(
        migration.STEPS, SCHEMA_VERSION - 1, lambda d: {**d, "status": d["outcome"]}
    )
    assert list(folder.records()) == [record()]


def test_raw_records_are_the_same_without_validation(folder: RunFolder) -> None:
    folder.write(record(attempt=1))
    folder.write(record(attempt=2))
    assert [raw["attempt"] for raw in folder.raw_records()] == [2]
    assert len(list(folder.raw_records(all_attempts=True))) == 2
    assert list(RunFolder(folder.path / "elsewhere").raw_records()) == []
