"""What is kept of a large run's records gives what the records give, and no more than once."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from bench.analysis import read
from bench.analysis.frame import load_attempts, load_epochs, load_trials, write_tables
from bench.analysis.kept import load
from bench.analysis.raw import ALL_EPOCH_FIELDS
from bench.analysis.read import read_raw
from bench.analysis.summary import summarize
from bench.errors import RunFolderError
from bench.records.record import TrialRecord
from bench.records.store import RunFolder
from tests.records_made import NORMS, made_run

CAPPED = {**NORMS, "variant": {"epochs": 3, "max_steps": 300, "global_batch_size": 128}}


def troubled(record: TrialRecord) -> TrialRecord:
    """One that diverged, one that was lost at first, one of other settings."""
    if record.trial.order == 1:
        epochs = tuple(e.model_copy(update={"train_loss": math.nan}) for e in record.epochs[:1])
        return record.model_copy(update={"status": "diverged", "error": "nan", "epochs": epochs})
    if record.trial.order == 4:
        return record.model_copy(update={"status": "worker_lost", "error": "it died", "epochs": ()})
    if record.trial.order == 5:
        return record.model_copy(update={"resolved": {**record.resolved, "tf32": True}})
    return record


@pytest.fixture(params=[NORMS, CAPPED], ids=["whole", "capped"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> RunFolder:
    folder = made_run(tmp_path / "run", request.param, change=troubled)
    lost = next(r for r in folder.records() if r.status == "worker_lost")
    done = next(r for r in folder.records() if r.status == "completed")
    folder.write(done.model_copy(update={"trial": lost.trial, "attempt": 1}))
    return folder


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run counts as large."""
    monkeypatch.setattr(read, "LARGE", 1)


def frames(folder: RunFolder) -> list[Any]:
    return [frame(folder.path) for frame in (load_trials, load_attempts, load_epochs)]


def test_what_is_kept_gives_the_same_frames_and_summary(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_files, summary = frames(folder), summarize(folder.path)
    assert not folder.kept.exists()
    monkeypatch.setattr(read, "LARGE", 1)
    read_raw(folder, all_attempts=True)
    assert folder.kept.exists()

    def unread(*_: object, **__: object) -> Iterator[None]:
        raise AssertionError("the records were read again")

    monkeypatch.setattr(RunFolder, "raw_records", unread)
    for ours, theirs in zip(frames(folder), by_files, strict=True):
        assert_frame_equal(ours, theirs)
    assert repr(summarize(folder.path)) == repr(summary)


@pytest.mark.usefixtures("large")
def test_a_run_s_tables_keep_what_was_read(folder: RunFolder) -> None:
    write_tables(folder)
    assert load(folder.kept, folder.marks()) is not None


@pytest.mark.usefixtures("large")
def test_a_record_that_changed_comes_or_goes_is_seen(folder: RunFolder) -> None:
    first = load_trials(folder.path)
    record = next(r for r in folder.records() if r.status == "completed")
    folder.write(record.model_copy(update={"status": "failed", "error": "other"}))
    again = load_trials(folder.path)
    assert again["status"].tolist().count("failed") == 1
    assert len(load_attempts(folder.path)) == len(first) + 2
    (folder.trials / f"{record.trial.trial_id}.json").unlink()
    for earlier in folder.trials.glob(f"{record.trial.trial_id}.attempt*.json"):
        earlier.unlink()
    assert len(load_trials(folder.path)) == len(first) - 1


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("damage", [b"", b"PK no archive", None])
def test_what_is_kept_and_damaged_is_made_anew(folder: RunFolder, damage: bytes | None) -> None:
    first = load_trials(folder.path)
    whole = folder.kept.read_bytes()
    folder.kept.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert_frame_equal(load_trials(folder.path), first)
    assert load(folder.kept, folder.marks()) is not None


@pytest.mark.usefixtures("large")
def test_what_another_version_kept_is_made_anew(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_raw(folder, all_attempts=True)
    monkeypatch.setattr("bench.analysis.kept.VERSION", 0)
    assert load(folder.kept, folder.marks()) is None


def test_nothing_is_kept_of_a_small_run_or_in_another_s_place(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_trials(folder.path)
    assert not folder.kept.exists()
    monkeypatch.setattr(read, "LARGE", 1)
    read_raw(folder, all_attempts=True)
    copied = RunFolder(tmp_path / "copied")
    shutil.copytree(folder.path, copied.path)
    (copied.trials / f"{folder.info().trial_ids[0]}.json").write_text("{}")
    with pytest.raises(RunFolderError):
        load_trials(copied.path)


def test_a_pickle_is_never_loaded(folder: RunFolder) -> None:
    np.savez(folder.kept, of=np.array([{}], dtype=object))
    assert load(folder.kept, folder.marks()) is None


@pytest.mark.usefixtures("large")
def test_all_fields_of_epochs_are_kept(folder: RunFolder) -> None:
    raw = read_raw(folder, all_attempts=False)
    assert set(raw.epochs) == set(ALL_EPOCH_FIELDS)
