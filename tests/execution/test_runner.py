"""A plan into a run folder: what is on disk when, what a second call does, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.errors import ResourceError, RunFolderError, SuiteError, UsageError
from bench.execution.executor import Event, Forecast, TrialStart
from bench.execution.null_observer import NullObserver
from bench.execution.simulated import SimulatedExecutor
from bench.records.run_folder import RunFolder
from bench.records.trial_record import (
    FINAL_STATUSES,
    STATUSES,
    SUCCESS_STATUSES,
    Status,
    TrialRecord,
)
from bench.spec.plan import Trial, make_plan
from bench.spec.suite import parse_suite
from tests.support.sample_records import ENVIRONMENT, make_run
from tests.support.sample_runs import (
    SUITE,
    TRIALS,
    RecordingObserver,
    UnusedExecutor,
    only_first,
    resume_run,
    run,
)
from tests.support.sample_suites import TINY, suite_of


def test_each_record_is_on_disk_before_the_next_trial_is_waited_for(out: Path) -> None:
    seen = RecordingObserver(out)
    run(out, observer=seen)
    ids = [trial.trial_id for trial in TRIALS]
    assert seen.on_disk == [set(ids[: n + 1]) for n in range(len(ids))]


def test_a_run_folder_holds_the_suite_and_the_command(out: Path) -> None:
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


def test_a_run_has_succeeded_if_every_trial_has_a_success_status(tmp_path: Path) -> None:
    for status in STATUSES:
        result = run(tmp_path / status, executor=SimulatedExecutor(status_of=only_first(status)))
        assert result.succeeded == (status in SUCCESS_STATUSES)
        assert result.statuses[TRIALS[0].trial_id] == status


@pytest.mark.parametrize("status", STATUSES)
def test_resuming_runs_only_trials_without_a_final_status(out: Path, status: Status) -> None:
    run(out, executor=SimulatedExecutor(status_of=only_first(status)), retries=0)
    expected = [] if status in FINAL_STATUSES else [TRIALS[0].trial_id]
    assert resume_run(out) == expected


def test_resuming_a_finished_run_starts_no_executor_and_notes_no_call(out: Path) -> None:
    run(out)
    before = (out / "run.json").read_bytes()
    result = run(out, resume=True, executor=UnusedExecutor())
    assert result.succeeded
    assert set(result.statuses) == {trial.trial_id for trial in TRIALS}
    assert (out / "run.json").read_bytes() == before


def test_more_blocks_extend_a_run(out: Path) -> None:
    run(out)
    longer = suite_of({**TINY, "blocks": 3})
    new = [t.trial_id for t in make_plan(longer).trials if t.block == 2]
    assert resume_run(out, longer) == new
    info = RunFolder.open(out).info()
    assert info.suite["blocks"] == 3
    assert info.trial_ids == tuple(t.trial_id for t in make_plan(longer).trials)
    assert len(info.invocations) == 2


@pytest.mark.parametrize("limit", ["trial_timeout_s", "stall_timeout_s", "placement_timeout_s"])
def test_a_longer_time_limit_is_not_another_suite(out: Path, limit: str) -> None:
    run(out, executor=SimulatedExecutor(status_of=only_first("timed_out")))
    patient = suite_of({**TINY, limit: 7200.0})
    assert resume_run(out, patient) == [TRIALS[0].trial_id]


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


def test_a_run_from_before_turns_goes_on_one_trial_after_another_or_not_at_all(out: Path) -> None:
    many = {**TINY, "blocks": 1, "matrix": {"hidden": [[width] for width in range(1, 10)]}}
    compare = [{"axis": "hidden", "baseline": [1]}]
    as_before = {"turns": "trial", "arms_at_once": 100}
    old = parse_suite({**many, "compare": compare, **as_before})
    run(out, old)
    info = json.loads((out / "run.json").read_text())
    for key in as_before:
        del info["suite"][key]
    (out / "run.json").write_text(json.dumps(info))
    assert resume_run(out, old) == []
    with pytest.raises(SuiteError, match="turns: 'window' here, 'trial' in the run folder"):
        run(out, parse_suite({**many, "compare": compare}), resume=True)


@pytest.mark.parametrize(
    ("resolved", "refused"),
    [
        ({"norm_layers": 5}, True),
        ({"norm_layers": 5, "norm_values": [16, 48, 20, 16, 8]}, False),
        ({}, False),  # nothing was trained
    ],
)
def test_a_run_with_an_older_meaning_of_norm_is_not_resumed(
    out: Path, resolved: dict[str, Any], refused: bool
) -> None:
    layer = {**TINY, "matrix": {"norm": ["none", "layer"]}}
    suite = suite_of(layer, workload="convnet", filters=[3, 5])
    run(out, suite)
    for file in (out / "trials").iterdir():
        record = json.loads(file.read_text())
        if record["trial"]["variant"]["norm"] == "layer":
            turns = {"turns": record["resolved"]["turns"]}
            file.write_text(json.dumps({**record, "resolved": {**resolved, **turns}}))
    assert resume_run(out, suite) == []
    more = suite_of({**layer, "blocks": 3}, workload="convnet", filters=[3, 5])
    if refused:
        with pytest.raises(SuiteError, match=r"norm .layer. .* choose another --out"):
            run(out, more, resume=True, executor=UnusedExecutor())
    else:
        assert len(resume_run(out, more)) == 2


def test_attempts_are_numbered_across_calls_and_all_are_kept(out: Path) -> None:
    lost = SimulatedExecutor(status_of=only_first("worker_lost"))
    run(out, executor=lost, retries=1)
    run(out, executor=SimulatedExecutor(status_of=only_first("failed")), resume=True)
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


def test_a_run_whose_lost_worker_was_retried_has_succeeded(out: Path) -> None:
    def lost_once(_trial: Trial, attempt: int) -> Status:
        return "worker_lost" if attempt == 1 else "completed"

    result = run(out, executor=SimulatedExecutor(status_of=lost_once), retries=1)
    assert result.succeeded
    assert set(bench.load_trials(out).status) == {"completed"}


def test_a_folder_that_is_in_use_is_refused(out: Path) -> None:
    run(out)
    before = (out / "trials.csv").stat().st_mtime_ns
    with RunFolder.open(out).locked(), pytest.raises(ResourceError) as refused:
        run(out, suite_of({**TINY, "blocks": 3}), resume=True)
    assert "another bench run is working on it" in str(refused.value)
    assert refused.value.exit_code == 2
    assert (out / "trials.csv").stat().st_mtime_ns == before


def test_a_folder_that_is_not_empty_is_refused_and_unchanged(out: Path) -> None:
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(ResourceError, match="not empty: choose another --out"):
        run(out)
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]


def test_resuming_needs_a_folder_and_a_run_in_it(out: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--out"):
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
        run(out, resume=True, executor=UnusedExecutor())
    record.unlink()
    assert resume_run(out) == [TRIALS[1].trial_id]


def only_first_block(record: TrialRecord) -> TrialRecord | None:
    return record if record.trial.block == 0 else None


class OnOneCpu(SimulatedExecutor):
    """Simulated trials on the node of made records."""

    def environment(self) -> dict[str, Any]:
        return {"node-1": ENVIRONMENT["driver"]}


class OnSmallGpus(SimulatedExecutor):
    """Simulated trials on a GPU that hardly holds anything, beside one that draws the screen."""

    uses_gpus = True
    gpus = ("GPU-1",)

    def environment(self) -> dict[str, Any]:
        used = {"name": "NVIDIA L4", "uuid": "GPU-1", "memory_bytes": 1000}
        screen = {"name": "NVIDIA T400", "uuid": "GPU-2", "memory_bytes": 10}
        return {"node-1": {"gpus": [screen, used]}}


class ExpectationObserver(NullObserver):
    """An observer that keeps what is expected, and what it had seen by then."""

    def __init__(self) -> None:
        self.expected: list[Forecast] = []
        self.started = False

    def event(self, event: Event) -> None:
        if isinstance(event, Forecast):
            assert not self.started
            self.expected.append(event)
        self.started |= isinstance(event, TrialStart)


def test_before_the_first_trial_a_run_says_what_it_expects_and_what_may_not_fit(out: Path) -> None:
    told = ExpectationObserver()
    result = run(out, executor=OnSmallGpus(), observer=told)
    ids = {trial.variant_id for trial in TRIALS}
    (expected,) = told.expected
    assert (expected.device.name, expected.device.memory_bytes) == ("NVIDIA L4", 1000)
    assert set(expected.estimates) == set(expected.too_large) == ids
    assert {estimate.basis for estimate in expected.estimates.values()} == {"guess"}
    assert result.succeeded  # they are tried all the same


def test_a_resumed_run_estimates_from_its_measurements(out: Path) -> None:
    nodes = {"node-1": ENVIRONMENT["driver"]}
    make_run(out, TINY, change=only_first_block, environment=nodes)
    told = ExpectationObserver()
    run(out, executor=OnOneCpu(), resume=True, observer=told)
    (expected,) = told.expected
    assert {(e.basis, e.run) for e in expected.estimates.values()} == {("measured", str(out))}
