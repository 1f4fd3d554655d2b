"""How a run ends before its time: interrupts, errors, a full disk. Nothing measured is lost."""

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench
from bench.errors import DataError, ResourceError, StorageError
from bench.execution.executor import Event, TrialStart
from bench.execution.simulated import SimulatedExecutor
from bench.files.folder import Folder
from bench.records.run_folder import RunFolder
from bench.records.trial_record import TrialRecord
from bench.spec.plan import make_plan
from tests.support.sample_runs import (
    TRIALS,
    HookedExecutor,
    RecordingObserver,
    UnavailableExecutor,
    only_first,
    resume_run,
    run,
)
from tests.support.sample_suites import TINY, suite_of


def test_tables_are_there_however_the_run_ends(out: Path) -> None:
    def stop(count: int) -> None:
        if count == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(out, executor=HookedExecutor(stop))
    assert len(bench.load_trials(out)) == 2
    assert (out / "trials.csv").read_text().count("completed") == 2
    assert resume_run(out) == [trial.trial_id for trial in TRIALS[2:]]


def test_after_an_internal_error_a_run_can_be_resumed(out: Path) -> None:
    def break_down(count: int) -> None:
        if count == 1:
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run(out, executor=HookedExecutor(break_down))
    assert RunFolder.open(out).info().invocations[0].wall_s is not None
    assert resume_run(out) == [trial.trial_id for trial in TRIALS[1:]]


def test_an_interrupt_while_a_record_is_written_waits_and_then_ends_the_run(out: Path) -> None:
    class Interrupting(RecordingObserver):
        def recorded(self, record: TrialRecord) -> None:
            super().recorded(record)
            os.kill(os.getpid(), signal.SIGINT)

    seen = Interrupting(out)
    with pytest.raises(KeyboardInterrupt):
        run(out, observer=seen)
    assert [r.status for r in RunFolder.open(out).records()] == ["completed"]
    assert resume_run(out) == [trial.trial_id for trial in TRIALS[1:]]


def test_an_interrupt_during_a_trial_leaves_its_record_and_resuming_runs_it(out: Path) -> None:
    class Interrupting(RecordingObserver):
        def event(self, event: Event) -> None:
            if isinstance(event, TrialStart):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(out, observer=Interrupting())
    (record,) = RunFolder.open(out).records()
    assert record.status == "interrupted"
    assert resume_run(out) == [trial.trial_id for trial in TRIALS]


def test_a_run_that_cannot_start_leaves_no_folder_behind(out: Path) -> None:
    with pytest.raises(ResourceError, match="no cluster"):
        run(out, executor=UnavailableExecutor())
    assert not out.exists()
    assert run(out).succeeded


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), RuntimeError("Ray did not start"), DataError("no data")]
)
def test_a_run_that_ends_before_its_first_record_leaves_no_folder(
    tmp_path: Path, error: BaseException
) -> None:
    def stop(_count: int) -> None:
        raise error

    out = tmp_path / "results" / "runs" / "run"
    with pytest.raises(type(error)):
        run(out, executor=HookedExecutor(stop))
    assert list(tmp_path.iterdir()) == []


def test_a_parent_folder_made_for_a_failed_run_stays_if_another_run_uses_it(
    tmp_path: Path,
) -> None:
    def neighbour(_count: int) -> None:
        run(tmp_path / "runs" / "second")
        raise RuntimeError("the first ends")

    with pytest.raises(RuntimeError):
        run(tmp_path / "runs" / "first", executor=HookedExecutor(neighbour))
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["second"]


def test_a_run_whose_first_record_did_not_fit_on_the_disk_keeps_its_folder(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Folder, name: str, _text: str) -> None:
        raise StorageError(f"{folder.path / name}: No space left on device: free space")

    class Full(RecordingObserver):
        def planned(self, *_: object) -> None:
            monkeypatch.setattr("bench.records.run_folder.write_atomically", full)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(StorageError):
        run(out, observer=Full())
    monkeypatch.undo()
    assert resume_run(out) == [trial.trial_id for trial in TRIALS]


def test_a_resumed_run_that_cannot_start_leaves_its_folder_as_it_was(out: Path) -> None:
    run(out, executor=SimulatedExecutor(status_of=only_first("failed")))
    with pytest.raises(ResourceError, match="no cluster"):
        run(out, executor=UnavailableExecutor(), resume=True)
    assert resume_run(out) == [TRIALS[0].trial_id]


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on a disk of its own, a real one that can be filled."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mount = tmp_path / "disk"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(mount)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("mounting needs root")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_a_disk_that_fills_during_a_run_loses_no_record(small_disk: Path) -> None:
    out, seen = small_disk / "run", RecordingObserver()
    many = suite_of({**TINY, "blocks": 400})
    with pytest.raises(StorageError, match=r"No space left.*free space") as full:
        run(out, many, observer=seen)
    assert full.value.exit_code == 5
    rescued = Path(re.findall(r"/\S+\.json", str(full.value))[-1])
    next_trial = make_plan(many).trials[len(seen.records)]
    assert TrialRecord.model_validate_json(rescued.read_text()).trial == next_trial
    kept = list(RunFolder.open(out).records())
    assert {r.trial.trial_id for r in kept} == {r.trial.trial_id for r in seen.records}
    assert len(bench.load_trials(out)) == len(seen.records)


def test_a_run_whose_disk_was_full_resumes_once_there_is_space(small_disk: Path) -> None:
    out, ballast = small_disk / "run", small_disk / "ballast"
    ballast.write_bytes(bytes(400_000))
    many = suite_of({**TINY, "blocks": 20})
    with pytest.raises(StorageError):
        run(out, many)
    done = {r.trial.trial_id for r in RunFolder.open(out).records()}
    ballast.unlink()
    missing = [t.trial_id for t in make_plan(many).trials if t.trial_id not in done]
    resumed = resume_run(out, many)
    assert resumed[: len(missing)] == missing
    # Records that the full disk has cost leave half a block, which another one replaces.
    assert {name[:4] for name in resumed[len(missing) :]} <= {"b020", "b021"}
