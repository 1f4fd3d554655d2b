"""What is kept of a large run's records gives what the records give, and no more than once."""

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

from bench.analysis import kept, read
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
    """One that diverged, one that was lost at first, one of other settings with a warning."""
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
    folder = made_run(tmp_path / "run", request.param, change=troubled)
    lost = next(r for r in folder.records() if r.status == "worker_lost")
    done = next(r for r in folder.records() if r.status == "completed")
    folder.write(done.model_copy(update={"trial": lost.trial, "attempt": 1}))
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where what was read is kept; files that were only now written count as settled."""
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(kept, "UNSETTLED_S", -1e9)
    return tmp_path / "cache" / f"records-{os.getuid()}"


def kept_in(cache: Path) -> list[Path]:
    return list(cache.glob("*"))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run counts as large."""
    monkeypatch.setattr(read, "LARGE", 1)


def frames(folder: RunFolder) -> list[Any]:
    return [frame(folder.path) for frame in (load_trials, load_attempts, load_epochs)]


def test_what_is_kept_gives_the_same_frames_and_summary(
    folder: RunFolder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_files, summary = frames(folder), summarize(folder.path)
    assert kept_in(cache) == []
    monkeypatch.setattr(read, "LARGE", 1)
    read_raw(folder, all_attempts=True)
    assert len(kept_in(cache)) == 1

    def unread(*_: object, **__: object) -> Iterator[None]:
        raise AssertionError("the records were read again")

    monkeypatch.setattr(RunFolder, "raw_records", unread)
    for ours, theirs in zip(frames(folder), by_files, strict=True):
        assert_frame_equal(ours, theirs)
    assert repr(summarize(folder.path)) == repr(summary)


@pytest.mark.usefixtures("large")
def test_a_run_s_tables_keep_what_was_read(folder: RunFolder) -> None:
    write_tables(folder)
    assert load(folder.path, folder.marks()) is not None


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
def test_a_record_that_run_json_does_not_plan_is_refused_though_it_was_read_before(
    folder: RunFolder,
) -> None:
    load_trials(folder.path)
    info = folder.info()
    folder.write_info(info.model_copy(update={"trial_ids": info.trial_ids[1:]}))
    with pytest.raises(RunFolderError):
        load_trials(folder.path)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("damage", [b"", b"PK no archive", None])
def test_what_is_kept_and_damaged_is_made_anew(
    folder: RunFolder, cache: Path, damage: bytes | None
) -> None:
    first = load_trials(folder.path)
    (path,) = kept_in(cache)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert_frame_equal(load_trials(folder.path), first)
    assert load(folder.path, folder.marks()) is not None


@pytest.mark.usefixtures("large")
def test_what_another_version_kept_is_made_anew(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_raw(folder, all_attempts=True)
    monkeypatch.setattr("bench.analysis.kept.VERSION", 0)
    assert load(folder.path, folder.marks()) is None


def test_nothing_is_kept_of_a_small_run(folder: RunFolder, cache: Path) -> None:
    load_trials(folder.path)
    assert kept_in(cache) == []


@pytest.mark.usefixtures("large")
def test_a_run_that_comes_with_what_was_read_of_others_is_read_itself(
    folder: RunFolder, cache: Path, tmp_path: Path
) -> None:
    true = load_trials(folder.path)["epoch_s"].tolist()
    copy = RunFolder(Path(shutil.copytree(folder.path, tmp_path / "copy")))
    (mine,) = kept_in(cache)
    shutil.copyfile(mine, copy.path / "records.npz")
    for file in copy.trials.iterdir():
        times = file.stat().st_atime_ns, file.stat().st_mtime_ns
        file.write_text(re.sub(r'"epoch_s":0\.5', '"epoch_s":0.1', file.read_text()))
        os.utime(file, ns=times)
    changed = load_trials(copy.path)["epoch_s"].tolist()
    assert changed == pytest.approx([seconds - 0.4 for seconds in true], nan_ok=True)


@pytest.mark.usefixtures("large")
def test_a_record_of_the_same_name_size_and_time_is_another_record(folder: RunFolder) -> None:
    before = load_trials(folder.path)["epoch_s"].tolist()
    for file in folder.trials.iterdir():
        times = file.stat().st_atime_ns, file.stat().st_mtime_ns
        file.write_text(re.sub(r'"epoch_s":0\.5', '"epoch_s":0.1', file.read_text()))
        os.utime(file, ns=times)
    after = load_trials(folder.path)["epoch_s"].tolist()
    assert after == pytest.approx([seconds - 0.4 for seconds in before], nan_ok=True)


@pytest.mark.usefixtures("large")
def test_a_cache_that_others_could_write_to_is_not_used(folder: RunFolder, cache: Path) -> None:
    load_trials(folder.path)
    assert load(folder.path, folder.marks()) is not None
    cache.chmod(0o777)
    assert load(folder.path, folder.marks()) is None


@pytest.mark.usefixtures("large")
def test_nothing_is_kept_of_files_that_may_still_change_unseen(
    folder: RunFolder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "UNSETTLED_S", 1e9)
    load_trials(folder.path)
    assert kept_in(cache) == []


@pytest.mark.usefixtures("large")
def test_the_runs_that_were_read_last_are_kept(
    folder: RunFolder, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST_RUNS", 2)
    copies = [RunFolder(Path(shutil.copytree(folder.path, tmp_path / n))) for n in "abc"]
    for age, copy in enumerate(copies):
        before = set(kept_in(cache))
        load_trials(copy.path)
        (new,) = set(kept_in(cache)) - before
        os.utime(new, (1e9 + age, 1e9 + age))
    assert [load(copy.path, copy.marks()) is not None for copy in copies] == [False, True, True]


@pytest.mark.usefixtures("large")
def test_a_pickle_is_never_loaded(folder: RunFolder, cache: Path) -> None:
    read_raw(folder, all_attempts=True)
    (path,) = kept_in(cache)
    with path.open("wb") as file:
        np.savez(file, of=np.array([{}], dtype=object))
    assert load(folder.path, folder.marks()) is None


@pytest.mark.usefixtures("large")
def test_all_fields_of_epochs_are_kept(folder: RunFolder) -> None:
    raw = read_raw(folder, all_attempts=False)
    assert set(raw.epochs) == set(ALL_EPOCH_FIELDS)
