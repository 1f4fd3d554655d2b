"""A full or read-only disk loses no record. Tested on real small disks in a mount namespace."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.errors import StorageError
from bench.records.atomic_write import temporary_file, temporary_folder
from bench.records.trial_record import TrialRecord

SMALL_DISK = 'mount -t tmpfs -o size=64k none "$1"'

FILL = """
import json, os, sys
from pathlib import Path
from bench.errors import StorageError
from bench.errors import StorageError
from bench.records.atomic_write import temporary_file, temporary_folder
from bench.records.trial_record import TrialRecord
from bench.records.run_folder import RunFolder, RunInfo
from bench.spec.plan import make_plan
from bench.spec.suite import parse_suite

place, how = Path(sys.argv[1]), sys.argv[2]
suite = parse_suite({"name": "test", "blocks": 30})
plan = make_plan(suite)
written = []
try:
    if how == "lock":
        with RunFolder(place).locked():
            pass
    trial_ids = tuple(trial.trial_id for trial in plan.trials)
    info = RunInfo(suite=suite.model_dump(mode="json"), pairs=(), trial_ids=trial_ids)
    folder = RunFolder.create(place / "run", info)
    if how == "read-only":
        os.system(f"mount -o remount,ro {place}")
    for trial in plan.trials:
        folder.write(TrialRecord(trial=trial, status="completed", log_tail="x" * 3000))
        written.append(trial.trial_id)
except StorageError as error:
    read = [r.trial.trial_id for r in RunFolder(place / "run").records()]
    hidden = [p.name for p in Path(place).rglob(".*json*")]
    print(json.dumps([str(error), written, read, hidden]))
"""


@dataclass
class Outcome:
    """What a driver on a small disk reported and left there."""

    message: str
    written: list[str]
    read: list[str]
    half_written: list[str]


def on_small_disk(place: Path, temporary: Path, how: str, mounts: str = SMALL_DISK) -> Outcome:
    """Write records to a disk of 64 KiB, mounted for that process only, until it is full."""
    probe = ["unshare", "--mount", "--map-root-user", "sh", "-c", SMALL_DISK, "sh", str(place)]
    try:
        possible = subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        possible = False
    if not possible:
        pytest.skip("mounting a small disk needs unshare and permission to make namespaces")
    run = f'{mounts} && exec "$2" -c "$3" "$1" "$4"'
    ran = subprocess.run(
        [*probe[:5], run, "sh", str(place), sys.executable, FILL, how],
        env={"TMPDIR": str(temporary), "HOME": str(place), "PATH": "/usr/bin:/bin:/usr/sbin"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return Outcome(*json.loads(ran.stdout))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


def rescued(message: str) -> TrialRecord:
    return TrialRecord.model_validate_json(Path(message.split("was kept: ")[1]).read_text())


def test_on_a_full_disk_the_record_is_saved_elsewhere_and_the_file_is_named(
    place: Path, tmp_path: Path
) -> None:
    outcome = on_small_disk(place, tmp_path, "full")
    disk = rf"free space on the disk at {place} \(\d+ bytes free, \d+ needed\)"
    assert re.search(f"No space left on device: {disk}", outcome.message)
    assert "/run/trials then, and continue with --resume; it was kept: " in outcome.message
    assert outcome.written
    assert outcome.read == outcome.written
    assert outcome.half_written == []
    saved = rescued(outcome.message)
    assert saved.trial.block == len(outcome.written)
    assert saved.log_tail == "x" * 3000


def test_on_a_read_only_disk_the_record_is_saved_elsewhere(place: Path, tmp_path: Path) -> None:
    outcome = on_small_disk(place, tmp_path, "read-only")
    assert f"Read-only file system: make the disk at {place} writable" in outcome.message
    assert rescued(outcome.message).trial.block == 0


def test_a_record_that_fits_nowhere_is_in_the_message(
    place: Path,
) -> None:
    no_room = f"{SMALL_DISK} && mount -t tmpfs -o ro none /dev/shm"
    outcome = on_small_disk(place, place, "full", no_room)
    record = outcome.message.split("could be kept nowhere: ")[1]
    saved = TrialRecord.model_validate_json(record)
    assert saved.trial.block == len(outcome.written) == len(outcome.read)


def test_a_folder_that_is_not_writable_is_refused_before_anything_runs(
    place: Path, tmp_path: Path
) -> None:
    read_only = 'mount -t tmpfs -o ro none "$1"'
    for how in ("create", "lock"):
        outcome = on_small_disk(place, tmp_path, how, read_only)
        assert (
            f"Read-only file system: make the disk at {place} writable, or choose"
            in outcome.message
        )
        assert outcome.written == []


@pytest.mark.parametrize("make", [temporary_file, lambda: temporary_folder().__enter__()])
def test_a_temporary_folder_that_is_not_writable_is_named(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], object]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc")
    monkeypatch.setenv("TMPDIR", "/proc")
    with pytest.raises(StorageError, match=r"/proc .* TMPDIR"):
        make()
