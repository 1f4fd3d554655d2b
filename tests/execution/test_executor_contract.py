"""What every executor promises, asked of each of them."""

from typing import Any

import pytest

from bench.execution.executor import Executor
from bench.execution.executor_registry import make_executor
from bench.spec.plan import make_plan
from tests.support.observers import LIMITS, InterruptAt, Log, observe, observe_in_subprocess
from tests.support.sample_suites import ENDLESS, SINGLE, TINY, suite_of

pytestmark = pytest.mark.slow

NAMES = ("simulated", "inprocess", "ray")
PLAN = make_plan(suite_of(TINY))


def _log(request: pytest.FixtureRequest, suite: dict[str, Any], *, interrupt: bool = False) -> Log:
    name: str = request.param
    if name == "inprocess":  # TensorFlow in this process would take its settings for good
        return observe_in_subprocess(name, suite, interrupt=interrupt)
    executor: Executor = (
        request.getfixturevalue("ray_executor") if name == "ray" else make_executor(name)
    )
    wanted = InterruptAt() if interrupt else lambda _event: None
    return observe(executor, suite_of(suite), also=wanted)


@pytest.fixture(scope="module", params=NAMES)
def log(request: pytest.FixtureRequest) -> Log:
    if request.param == "ray":
        ray_log: Log = request.getfixturevalue("ray_log")
        return ray_log
    return _log(request, TINY)


@pytest.fixture(scope="module", params=NAMES)
def cut_short(request: pytest.FixtureRequest) -> Log:
    endless = {**ENDLESS, "blocks": 2}
    return _log(request, endless, interrupt=True)


def test_every_trial_gives_one_record(log: Log) -> None:
    planned = sorted(trial.trial_id for trial in PLAN.trials)
    assert sorted(record.trial.trial_id for record in log.records) == planned
    assert not log.interrupted


def test_trials_that_take_no_turns_run_one_after_another_in_the_order_of_their_block(
    log: Log,
) -> None:
    in_sequence = {r.trial.trial_id for r in log.records if r.resolved["turns"] == "trial"}
    for block in PLAN.blocks:
        ids = [trial.trial_id for trial in block.trials if trial.trial_id in in_sequence]
        heard = [line for line in log.lines if line[1] in ids]
        assert heard == [line for id_ in ids for line in heard if line[1] == id_]


def test_a_record_holds_the_planned_trial(log: Log) -> None:
    assert {r.trial.trial_id: r.trial for r in log.records} == {t.trial_id: t for t in PLAN.trials}


def test_a_completed_trial_has_every_epoch_and_says_where_it_ran(log: Log) -> None:
    for record in log.records:
        assert record.status == "completed"
        assert record.error is None
        assert [epoch.epoch for epoch in record.epochs] == [0, 1]
        assert [epoch.warmup for epoch in record.epochs] == [True, False]
        assert record.node
        assert record.devices
        assert record.wall_s is not None
        assert record.wall_s > 0


def test_a_trial_records_the_variables_of_its_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    asked = {**SINGLE, "variant": {**SINGLE["variant"], "threads": 1}}
    (record,) = observe_in_subprocess("inprocess", asked).records
    assert record.status == "completed", record.error
    assert record.resolved["intra_op_threads"] == 1
    given = record.resolved["variables"]
    assert (given["OPENBLAS_NUM_THREADS"], given["OMP_NUM_THREADS"]) == ("3", "1")


def test_events_come_in_order_started_then_each_epoch_then_the_record(log: Log) -> None:
    for trial in PLAN.trials:
        assert log.of(trial.trial_id) == [
            ("started",),
            ("epoch", 0),
            ("epoch", 1),
            ("record", "completed"),
        ]


def test_an_interrupt_gives_the_running_trial_s_record_before_it_passes_through(
    cut_short: Log,
) -> None:
    (record,) = cut_short.records
    assert cut_short.interrupted
    assert record.status == "interrupted"
    assert record.error
    assert record.epochs
    assert record.epochs[0].epoch == 0


@pytest.mark.parametrize("name", ["simulated", "ray"])
def test_an_interrupt_between_two_records_keeps_the_first(
    name: str, request: pytest.FixtureRequest
) -> None:
    executor: Executor = (
        request.getfixturevalue("ray_executor") if name == "ray" else make_executor(name)
    )
    records = executor.run(PLAN.blocks[:1], LIMITS, lambda _event: None)
    kept = [next(records)]
    with pytest.raises(KeyboardInterrupt):
        kept.append(records.throw(KeyboardInterrupt()))
        kept.extend(records)
    assert kept[0].status == "completed"
    # The second trial may have ended with the first one.
    assert {record.status for record in kept[1:]} <= {"completed", "interrupted"}
    assert len({record.trial.trial_id for record in kept}) == len(kept)
