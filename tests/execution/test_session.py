"""A plan into a run folder: what is on disk when, what a second call does, what is refused."""

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.errors import ResourceError, RunFolderError, StorageError, SuiteError, UsageError
from bench.execution.executor import Event, Limits, OnEvent
from bench.execution.simulated import Fate, SimulatedExecutor
from bench.execution.watch import Silent
from bench.records.record import FINE, SETTLED, STATUSES, Status, TrialRecord
from bench.records.store import RunFolder
from bench.spec.plan import Block, Trial, make_plan
from bench.spec.suite import Suite, parse_suite
from tests.suites_made import TINY, suite_of

SUITE = suite_of(TINY)
TRIALS = make_plan(SUITE).trials


class Seen(Silent):
    """An observer that remembers, and looks at the disk as each record is told of."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.records: list[TrialRecord] = []
        self.on_disk: list[set[str]] = []
        self.planned_trials: list[str] = []

    def planned(self, blocks: Sequence[Block], lanes: int) -> None:
        self.planned_trials = [trial.trial_id for block in blocks for trial in block.trials]

    def recorded(self, record: TrialRecord) -> None:
        self.records.append(record)
        if self.folder:
            self.on_disk.append({p.stem for p in (self.folder / "trials").glob("*.json")})


class NeverEntered(SimulatedExecutor):
    """An executor that must not be started."""

    def __enter__(self) -> "NeverEntered":
        raise AssertionError("there was nothing to run")


class OutOfReach(SimulatedExecutor):
    """An executor that cannot be had."""

    def __enter__(self) -> "OutOfReach":
        raise ResourceError("no cluster: name another")


class WithRun(SimulatedExecutor):
    """A simulated executor around whose records something happens."""

    def __init__(self, before_next: Callable[[int], None]) -> None:
        super().__init__()
        self._before_next = before_next

    def run(
        self, blocks: Sequence[Block], limits: Limits, on_event: OnEvent
    ) -> Generator[TrialRecord, None, None]:
        """Call ``before_next`` with the number of records that are out."""
        for count, record in enumerate(super().run(blocks, limits, on_event)):
            self._before_next(count)
            yield record


def always(status: Status) -> Fate:
    return lambda trial, attempt: status


def only_first(status: Status) -> Fate:
    """The plan's first trial ends so, the others complete."""
    return lambda trial, attempt: status if trial == TRIALS[0] else "completed"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


def run(out: Path, suite: Suite = SUITE, **options: Any) -> bench.RunResult:
    options.setdefault("executor", SimulatedExecutor())
    return bench.run(suite, out, **options)


def again(out: Path, suite: Suite = SUITE, **options: Any) -> list[str]:
    """Resume; the trials that ran."""
    seen = Seen()
    run(out, suite, resume=True, observer=seen, **options)
    assert seen.planned_trials == [record.trial.trial_id for record in seen.records]
    return seen.planned_trials


def test_each_record_is_on_disk_before_the_next_trial_is_waited_for(out: Path) -> None:
    seen = Seen(out)
    run(out, observer=seen)
    ids = [trial.trial_id for trial in TRIALS]
    assert seen.on_disk == [set(ids[: n + 1]) for n in range(len(ids))]


def test_a_run_s_folder_holds_what_was_asked_for_and_who_asked(out: Path) -> None:
    run(out, command=["bench", "run", "tiny"])
    info = RunFolder.open(out).info()
    assert parse_suite(info.suite) == SUITE
    assert info.trial_ids == tuple(trial.trial_id for trial in TRIALS)
    assert info.pairs == make_plan(SUITE).pairs
    assert info.labels == {t.variant_id: t.label for t in TRIALS}
    (call,) = info.invocations
    assert call.command == ("bench", "run", "tiny")
    assert call.executor == "simulated"
    assert call.lanes == 1
    assert call.environment["driver"]
    assert call.wall_s is not None
    assert call.wall_s > 0


def test_a_run_has_succeeded_when_every_trial_gave_an_answer(tmp_path: Path) -> None:
    for status in STATUSES:
        result = run(tmp_path / status, executor=SimulatedExecutor(fate=only_first(status)))
        assert result.succeeded == (status in FINE)
        assert result.statuses[TRIALS[0].trial_id] == status


@pytest.mark.parametrize("status", STATUSES)
def test_resuming_runs_what_has_no_settled_record_and_nothing_else(
    out: Path, status: Status
) -> None:
    run(out, executor=SimulatedExecutor(fate=only_first(status)), retries=0)
    expected = [] if status in SETTLED else [TRIALS[0].trial_id]
    assert again(out) == expected


def test_resuming_a_finished_run_starts_no_executor_and_notes_no_call(out: Path) -> None:
    run(out)
    before = (out / "run.json").read_bytes()
    result = run(out, resume=True, executor=NeverEntered())
    assert result.succeeded
    assert set(result.statuses) == {trial.trial_id for trial in TRIALS}
    assert (out / "run.json").read_bytes() == before


def test_more_blocks_extend_a_run(out: Path) -> None:
    run(out)
    longer = suite_of({**TINY, "blocks": 3})
    new = [t.trial_id for t in make_plan(longer).trials if t.block == 2]
    assert again(out, longer) == new
    info = RunFolder.open(out).info()
    assert info.suite["blocks"] == 3
    assert info.trial_ids == tuple(t.trial_id for t in make_plan(longer).trials)
    assert len(info.invocations) == 2


def test_a_longer_time_limit_is_no_other_suite(out: Path) -> None:
    run(out, executor=SimulatedExecutor(fate=only_first("timed_out")))
    patient = suite_of({**TINY, "trial_timeout_s": 7200.0})
    assert again(out, patient) == [TRIALS[0].trial_id]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 4}, "seed: 4 here, 3 in the run folder"),
        ({"blocks": 1}, "blocks: 1 here, 2 in the run folder"),
        ({"matrix": {"norm": ["none"]}, "compare": []}, "matrix.norm: "),
        ({"variant": {**TINY["variant"], "epochs": 5}}, "variant.epochs: 5 here, 2 in the run"),
        ({"compare": []}, "compare"),
    ],
)
def test_another_suite_is_refused_with_the_first_difference(
    out: Path, change: dict[str, Any], named: str
) -> None:
    run(out)
    with pytest.raises(SuiteError) as refused:
        run(out, parse_suite({**TINY, **change}), resume=True)
    assert named in str(refused.value)
    assert refused.value.exit_code == 2
    assert len(list((out / "trials").iterdir())) == len(TRIALS)


def test_attempts_are_numbered_across_calls_and_all_are_kept(out: Path) -> None:
    lost = SimulatedExecutor(fate=only_first("worker_lost"))
    run(out, executor=lost, retries=1)
    run(out, executor=SimulatedExecutor(fate=only_first("failed")), resume=True)
    run(out, resume=True)
    found = [
        (r.attempt, r.invocation, r.status)
        for r in sorted(RunFolder.open(out).records(all_attempts=True), key=lambda r: r.attempt)
        if r.trial == TRIALS[0]
    ]
    assert found == [
        (1, 0, "worker_lost"),
        (2, 0, "worker_lost"),
        (3, 1, "failed"),
        (4, 2, "completed"),
    ]
    assert bench.load_trials(out).set_index("trial_id").status[TRIALS[0].trial_id] == "completed"
    assert len(bench.load_attempts(out)) == len(TRIALS) + 3


def test_a_worker_lost_once_and_then_not_leaves_a_run_that_succeeded(out: Path) -> None:
    def lost_once(trial: Trial, attempt: int) -> Status:
        return "worker_lost" if attempt == 1 else "completed"

    result = run(out, executor=SimulatedExecutor(fate=lost_once), retries=1)
    assert result.succeeded
    assert set(bench.load_trials(out).status) == {"completed"}


def test_tables_are_there_however_the_run_ends(out: Path) -> None:
    def stop(count: int) -> None:
        if count == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(out, executor=WithRun(stop))
    assert len(bench.load_trials(out)) == 2
    assert (out / "trials.csv").read_text().count("completed") == 2
    assert again(out) == [trial.trial_id for trial in TRIALS[2:]]


def test_an_error_of_our_own_making_leaves_a_run_that_can_go_on(out: Path) -> None:
    def break_down(count: int) -> None:
        if count == 1:
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run(out, executor=WithRun(break_down))
    assert RunFolder.open(out).info().invocations[0].wall_s is not None
    assert again(out) == [trial.trial_id for trial in TRIALS[1:]]


def test_an_interrupt_while_a_record_is_written_waits_and_then_ends_the_run(out: Path) -> None:
    class Interrupting(Seen):
        def recorded(self, record: TrialRecord) -> None:
            super().recorded(record)
            os.kill(os.getpid(), signal.SIGINT)

    seen = Interrupting(out)
    with pytest.raises(KeyboardInterrupt):
        run(out, observer=seen)
    assert [r.status for r in RunFolder.open(out).records()] == ["completed"]
    assert again(out) == [trial.trial_id for trial in TRIALS[1:]]


def test_an_interrupt_in_mid_trial_leaves_its_record_and_the_trial_to_be_run(out: Path) -> None:
    class Interrupting(Seen):
        def event(self, event: Event) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(out, observer=Interrupting())
    (record,) = RunFolder.open(out).records()
    assert record.status == "interrupted"
    assert again(out) == [trial.trial_id for trial in TRIALS]


def test_a_folder_that_is_in_use_is_refused(out: Path) -> None:
    run(out)
    before = (out / "trials.csv").stat().st_mtime_ns
    with RunFolder.open(out).locked(), pytest.raises(ResourceError) as refused:
        run(out, suite_of({**TINY, "blocks": 3}), resume=True)
    assert "another bench run is working on it" in str(refused.value)
    assert refused.value.exit_code == 2
    assert (out / "trials.csv").stat().st_mtime_ns == before


def test_a_folder_that_holds_something_is_refused_and_left_alone(out: Path) -> None:
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(ResourceError, match="not empty: choose another --out"):
        run(out)
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]


def test_a_run_that_cannot_start_leaves_no_folder_behind(out: Path) -> None:
    with pytest.raises(ResourceError, match="no cluster"):
        run(out, executor=OutOfReach())
    assert not out.exists()
    assert run(out).succeeded


def test_a_resumed_run_that_cannot_start_leaves_its_folder_as_it_was(out: Path) -> None:
    run(out, executor=SimulatedExecutor(fate=only_first("failed")))
    with pytest.raises(ResourceError, match="no cluster"):
        run(out, executor=OutOfReach(), resume=True)
    assert again(out) == [TRIALS[0].trial_id]


def test_resuming_needs_a_folder_and_a_run_in_it(out: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give it by --out"):
        bench.run(SUITE, resume=True, executor="simulated")
    with pytest.raises(RunFolderError, match="no such run folder"):
        run(out, resume=True)
    with pytest.raises(RunFolderError, match=r"no run\.json"):
        run(tmp_path, resume=True)


@pytest.mark.parametrize("content", ["{", "[]", '{"schema_version": 1}', "", "\x00"])
def test_a_damaged_record_is_named_before_anything_runs(out: Path, content: str) -> None:
    run(out)
    record = out / "trials" / f"{TRIALS[1].trial_id}.json"
    record.write_text(content)
    with pytest.raises(RunFolderError, match=r"trials"):
        run(out, resume=True, executor=NeverEntered())
    record.unlink()
    assert again(out) == [TRIALS[1].trial_id]


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


def test_a_disk_that_fills_in_mid_run_loses_nothing(small_disk: Path) -> None:
    out, seen = small_disk / "run", Seen()
    many = suite_of({**TINY, "blocks": 400})
    with pytest.raises(StorageError, match="No space left.*free space") as full:
        run(out, many, observer=seen)
    assert full.value.exit_code == 5
    rescued = Path(re.findall(r"/\S+\.json", str(full.value))[-1])
    next_trial = make_plan(many).trials[len(seen.records)]
    assert TrialRecord.model_validate_json(rescued.read_text()).trial == next_trial
    kept = list(RunFolder.open(out).records())
    assert {r.trial.trial_id for r in kept} == {r.trial.trial_id for r in seen.records}
    assert len(bench.load_trials(out)) == len(seen.records)


def test_a_run_whose_disk_was_full_goes_on_once_there_is_space(small_disk: Path) -> None:
    out, ballast = small_disk / "run", small_disk / "ballast"
    ballast.write_bytes(bytes(400_000))
    many = suite_of({**TINY, "blocks": 20})
    with pytest.raises(StorageError):
        run(out, many)
    done = {r.trial.trial_id for r in RunFolder.open(out).records()}
    ballast.unlink()
    assert again(out, many) == [
        t.trial_id for t in make_plan(many).trials if t.trial_id not in done
    ]
