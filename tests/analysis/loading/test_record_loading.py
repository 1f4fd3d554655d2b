"""Tests that the cache of a large run gives the same data as its records, and only while valid."""

import math
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from bench.analysis.loading import record_cache, record_loading
from bench.analysis.loading.data_frames import load_attempts, load_epochs, load_trials
from bench.analysis.loading.record_arrays import ALL_EPOCH_FIELDS
from bench.analysis.loading.record_cache import load_cached
from bench.analysis.loading.record_loading import load_records
from bench.analysis.loading.run_frames import read_frames, write_tables
from bench.analysis.summary import summarize
from bench.errors import RunFolderError
from bench.records.run_folder import RunFolder
from bench.records.trial_record import TrialRecord
from tests.support.sample_records import NORMS, make_run

CAPPED = {**NORMS, "variant": {"epochs": 3, "max_steps": 300, "global_batch_size": 128}}


def mixed_outcomes(record: TrialRecord) -> TrialRecord:
    """Return ``record``, or one that diverged, was lost, or has other settings and a warning."""
    if record.trial.order == 1:
        epochs = tuple(e.model_copy(update={"train_loss": math.nan}) for e in record.epochs[:1])
        return record.model_copy(update={"status": "diverged", "error": "nan", "epochs": epochs})
    if record.trial.order == 4:
        return record.model_copy(update={"status": "worker_lost", "error": "it died", "epochs": ()})
    if record.trial.order == 5:
        changed = {"resolved": {**record.resolved, "tf32": True}, "warnings": ("no gradient",)}
        return record.model_copy(update=changed)
    return record


@pytest.fixture(params=[NORMS, CAPPED], ids=["whole", "capped"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> RunFolder:
    folder = make_run(tmp_path / "run", request.param, change=mixed_outcomes)
    failed = next(r for r in folder.records() if r.status == "worker_lost")
    completed = next(r for r in folder.records() if r.status == "completed")
    folder.write(completed.model_copy(update={"trial": failed.trial, "attempt": 1}))
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder; files written just now are old enough to be cached."""
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(record_cache, "MIN_FILE_AGE_S", -1e9)
    return tmp_path / "cache" / f"records-{os.getuid()}"


def cache_files(cache: Path) -> list[Path]:
    return list(cache.glob("*"))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run is large enough to be cached."""
    monkeypatch.setattr(record_loading, "MIN_CACHED_RECORDS", 1)


def frames(folder: RunFolder) -> list[Any]:
    return [frame(folder.path) for frame in (load_trials, load_attempts, load_epochs)]


def test_cache_gives_the_same_frames_and_summary(
    folder: RunFolder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected_frames, summary = frames(folder), summarize(folder.path)
    assert cache_files(cache) == []
    monkeypatch.setattr(record_loading, "MIN_CACHED_RECORDS", 1)
    load_records(folder, all_attempts=True)
    assert len(cache_files(cache)) == 1

    def unread(*_: object, **__: object) -> Iterator[None]:
        raise AssertionError("the records were read again")

    monkeypatch.setattr(RunFolder, "raw_records", unread)
    for cached, expected in zip(frames(folder), expected_frames, strict=True):
        assert_frame_equal(cached, expected)
    assert repr(summarize(folder.path)) == repr(summary)


@pytest.mark.usefixtures("large")
def test_writing_tables_fills_the_cache(folder: RunFolder) -> None:
    write_tables(read_frames(folder))
    assert load_cached(folder.path, folder.fingerprint()) is not None


@pytest.mark.usefixtures("large")
def test_changed_added_or_removed_record_is_noticed(folder: RunFolder) -> None:
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
def test_unplanned_record_is_rejected_even_if_cached(folder: RunFolder) -> None:
    load_trials(folder.path)
    info = folder.info()
    folder.write_info(info.model_copy(update={"trial_ids": info.trial_ids[1:]}))
    with pytest.raises(RunFolderError):
        load_trials(folder.path)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("damage", [b"", b"PK no archive", None])
def test_damaged_cache_is_rebuilt(folder: RunFolder, cache: Path, damage: bytes | None) -> None:
    first = load_trials(folder.path)
    (path,) = cache_files(cache)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage is None else damage)
    assert_frame_equal(load_trials(folder.path), first)
    assert load_cached(folder.path, folder.fingerprint()) is not None


@pytest.mark.usefixtures("large")
def test_cache_of_another_version_is_rebuilt(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_records(folder, all_attempts=True)
    monkeypatch.setattr("bench.analysis.loading.record_cache.CACHE_VERSION", 0)
    assert load_cached(folder.path, folder.fingerprint()) is None


def test_small_run_is_not_cached(folder: RunFolder, cache: Path) -> None:
    load_trials(folder.path)
    assert cache_files(cache) == []


@pytest.mark.usefixtures("large")
def test_cache_file_inside_a_run_folder_is_ignored(
    folder: RunFolder, cache: Path, tmp_path: Path
) -> None:
    expected = load_trials(folder.path)["epoch_s"].tolist()
    copy = RunFolder(Path(shutil.copytree(folder.path, tmp_path / "copy")))
    (cache_file,) = cache_files(cache)
    shutil.copyfile(cache_file, copy.path / "records.npz")
    for file in copy.trials.iterdir():
        times = file.stat().st_atime_ns, file.stat().st_mtime_ns
        file.write_text(re.sub(r'"epoch_s":0\.5', '"epoch_s":0.1', file.read_text()))
        os.utime(file, ns=times)
    changed = load_trials(copy.path)["epoch_s"].tolist()
    assert changed == pytest.approx([seconds - 0.4 for seconds in expected], nan_ok=True)


@pytest.mark.usefixtures("large")
def test_rewritten_record_with_equal_name_size_and_time_is_noticed(folder: RunFolder) -> None:
    before = load_trials(folder.path)["epoch_s"].tolist()
    for file in folder.trials.iterdir():
        times = file.stat().st_atime_ns, file.stat().st_mtime_ns
        file.write_text(re.sub(r'"epoch_s":0\.5', '"epoch_s":0.1', file.read_text()))
        os.utime(file, ns=times)
    after = load_trials(folder.path)["epoch_s"].tolist()
    assert after == pytest.approx([seconds - 0.4 for seconds in before], nan_ok=True)


@pytest.mark.usefixtures("large")
def test_cache_writable_by_others_is_not_used(folder: RunFolder, cache: Path) -> None:
    load_trials(folder.path)
    assert load_cached(folder.path, folder.fingerprint()) is not None
    cache.chmod(0o777)
    assert load_cached(folder.path, folder.fingerprint()) is None


@pytest.mark.usefixtures("large")
def test_recently_changed_files_are_not_cached(
    folder: RunFolder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_cache, "MIN_FILE_AGE_S", 1e9)
    load_trials(folder.path)
    assert cache_files(cache) == []


@pytest.mark.usefixtures("large")
def test_most_recent_runs_stay_in_the_cache(
    folder: RunFolder, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_cache, "MAX_RUNS", 2)
    copies = [RunFolder(Path(shutil.copytree(folder.path, tmp_path / n))) for n in "abc"]
    for age, copy in enumerate(copies):
        before = set(cache_files(cache))
        load_trials(copy.path)
        (new,) = set(cache_files(cache)) - before
        os.utime(new, (1e9 + age, 1e9 + age))
    assert [load_cached(copy.path, copy.fingerprint()) is not None for copy in copies] == [
        False,
        True,
        True,
    ]


@pytest.mark.usefixtures("large")
def test_pickle_in_the_cache_is_never_loaded(folder: RunFolder, cache: Path) -> None:
    load_records(folder, all_attempts=True)
    (path,) = cache_files(cache)
    with path.open("wb") as file:
        np.savez(file, of=np.array([{}], dtype=object))
    assert load_cached(folder.path, folder.fingerprint()) is None


@pytest.mark.usefixtures("large")
def test_cache_holds_all_epoch_fields(folder: RunFolder) -> None:
    raw = load_records(folder, all_attempts=False)
    assert set(raw.epochs) == set(ALL_EPOCH_FIELDS)
