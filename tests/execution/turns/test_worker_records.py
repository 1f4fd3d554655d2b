"""One record for a worker group, from its workers' records and Ray's errors."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from ray.exceptions import OutOfMemoryError, RayActorError

from bench.execution.ray_backend.workers.worker_group import WorkerGroup
from bench.execution.ray_backend.workers.worker_log import WorkerLog
from bench.execution.ray_backend.workers.worker_records import (
    failure_record,
    merge_records,
    slowest_workers,
    terminated_record,
)
from bench.records.epoch_record import EpochRecord
from bench.records.measures import Measures
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Trial, make_plan
from tests.support.sample_records import make_record
from tests.support.sample_suites import SINGLE, suite_of
from tests.support.worker_groups import group_suite

TRIAL = make_plan(group_suite()).trials[0]
ALONE = make_plan(suite_of(SINGLE)).trials[0]


@dataclass
class FakeGroup:
    """A worker group whose processes have ended."""

    trial: Trial = TRIAL
    records: dict[int, TrialRecord] = field(default_factory=dict)
    errors: dict[int, Exception] = field(default_factory=dict)
    locations: dict[int, Any] = field(default_factory=dict)

    @property
    def group(self) -> WorkerGroup:
        return cast(WorkerGroup, self)


def worker_record(status: Status = "completed", trial: Trial = TRIAL, **fields: Any) -> TrialRecord:
    """The record of one worker."""
    return make_record(trial).model_copy(update={"status": status, **fields})


def of_weights(l2: float, peak: int | None = 10) -> Measures:
    return Measures(weights_l2=l2, peak_rss_bytes=peak, peak_device_memory_bytes=peak)


def timed(epoch_s: float) -> tuple[EpochRecord, ...]:
    return tuple(e.model_copy(update={"epoch_s": epoch_s}) for e in make_record(TRIAL).epochs)


def test_the_record_of_a_single_worker_is_unchanged() -> None:
    record = worker_record(trial=ALONE)
    assert merge_records(FakeGroup(ALONE, {0: record}).group) == record


def test_a_group_has_each_warning_of_its_workers_once() -> None:
    first, second = (
        worker_record(warnings=("both", "first")),
        worker_record(warnings=("both", "second")),
    )
    assert merge_records(FakeGroup(records={0: first, 1: second}).group).warnings == (
        "both",
        "first",
        "second",
    )


def test_an_epoch_takes_as_long_as_the_slowest_worker() -> None:
    first, second = timed(1.0), timed(3.0)
    chief = (first[0], second[1])
    other = (second[0], first[1])
    records = {1: worker_record(epochs=other), 0: worker_record(epochs=chief)}
    assert [e.epoch_s for e in merge_records(FakeGroup(records=records).group).epochs] == [3.0, 3.0]


def test_memory_is_the_largest_worker_s_and_none_if_unmeasured() -> None:
    for peaks, expected in (((10, 30), 30), ((10, None), 10), ((None, None), None)):
        records = {i: worker_record(measures=of_weights(1.0, peak)) for i, peak in enumerate(peaks)}
        found = merge_records(FakeGroup(records=records).group).measures
        assert found.peak_rss_bytes == found.peak_device_memory_bytes == expected


def test_the_share_of_taken_cores_is_the_largest_worker_s() -> None:
    for shares, expected in (((0.1, 0.3), 0.3), ((0.2, None), 0.2), ((None, None), None)):
        records = {
            i: worker_record(measures=of_weights(1.0).model_copy(update={"cpu_taken_share": share}))
            for i, share in enumerate(shares)
        }
        assert merge_records(FakeGroup(records=records).group).measures.cpu_taken_share == expected


def test_each_worker_s_own_devices_are_named_once() -> None:
    known = tuple(f"/job:worker/replica:0/task:{i}/device:CPU:0" for i in (0, 1))
    records = {i: worker_record(devices=known, node=f"node-{i}") for i in (0, 1)}
    assert merge_records(FakeGroup(records=records).group).devices == (
        "node-0/worker:0/CPU:0",
        "node-1/worker:1/CPU:0",
    )


def test_workers_that_end_with_different_weights_have_failed() -> None:
    records = {i: worker_record(measures=of_weights(1.0 + i)) for i in (0, 1)}
    record = merge_records(FakeGroup(records=records).group)
    assert record.status == "failed"
    assert "different weights (L2 norms ['1.0', '2.0'])" in (record.error or "")


def completed_with(first: float, second: float, **settings: Any) -> Status:
    """The status of a group of two that ended with weights of these norms."""
    trial = make_plan(group_suite(**settings)).trials[0]
    norms = enumerate((first, second))
    records = {i: worker_record(trial=trial, measures=of_weights(norm)) for i, norm in norms}
    return merge_records(FakeGroup(trial, records).group).status


@pytest.mark.parametrize(
    ("precision", "rounding"),
    [
        ("float32", 2**-24),
        ("mixed_bfloat16", 2**-24),
        ("mixed_float16", 2**-24),
        ("float64", 2**-50),
    ],
)
@pytest.mark.parametrize("steps", [1, 10_000])
def test_weights_may_differ_by_the_rounding_of_their_precision_and_steps_and_no_more(
    precision: str, rounding: float, steps: int
) -> None:
    settings = {"precision": precision, "examples": 32 * steps, "epochs": 1}
    settings |= {"global_batch_size": 32, "dataset": "synthetic"}
    allowed = rounding * steps**0.5
    assert completed_with(2.0, 2.0, **settings) == "completed"
    assert completed_with(2.0, 2.0 * (1 + 0.5 * allowed), **settings) == "completed"
    assert completed_with(2.0 * (1 + 2.0 * allowed), 2.0, **settings) == "failed"


def test_workers_without_communication_may_end_with_different_weights() -> None:
    assert completed_with(1.0, 2.0, communication="none") == "completed"


def test_the_worker_whose_end_explains_the_others_is_named() -> None:
    records = {0: worker_record("failed", error="Connection reset by peer")}
    group = FakeGroup(records=records, errors={1: RayActorError()}).group
    record = failure_record(group, [])
    assert record.status == "worker_lost"
    assert (record.error or "").startswith("worker 1: its process died")


def test_of_two_that_died_the_first_is_named() -> None:
    group = FakeGroup(errors={1: RayActorError(), 0: RayActorError()}).group
    assert (failure_record(group, []).error or "").startswith("worker 1: ")


def test_memory_explains_a_lost_worker() -> None:
    group = FakeGroup(errors={0: RayActorError(), 1: OutOfMemoryError("")}).group
    record = failure_record(group, [])
    assert record.status == "out_of_memory"
    assert (record.error or "").startswith("worker 1: ")


def test_a_worker_that_sends_no_heartbeats_is_lost_not_its_peers() -> None:
    tail = (
        "Collective ops is aborted by: The following tasks are unhealthy (stopped sending "
        "heartbeats):\n/job:worker/replica:0/task:1\nThe tasks have crashed."
    )
    record = failure_record(
        FakeGroup(records={0: worker_record("failed", log_tail=tail)}).group, []
    )
    assert record.status == "worker_lost"
    assert (record.error or "").startswith("worker 1: its peers stopped receiving heartbeats")
    assert (record.log_tail or "").startswith("[worker 0] Collective ops")


def test_worker_0_is_lost_if_its_coordination_service_does_not_answer() -> None:
    tail = (
        "Collective ops is aborted by: Deadline Exceeded\n\n"
        "RPC: /tensorflow.CoordinationService/Heartbeat"
    )
    record = failure_record(
        FakeGroup(records={1: worker_record("failed", log_tail=tail)}).group, []
    )
    assert record.status == "worker_lost"
    assert (record.error or "").startswith("worker 0: its peers stopped receiving heartbeats")


@pytest.mark.parametrize("status", ["out_of_memory", "unsupported", "diverged"])
def test_a_worker_with_its_own_failure_blames_no_other(status: Status) -> None:
    tail = "RPC: /tensorflow.CoordinationService/Heartbeat"
    record = failure_record(
        FakeGroup(records={1: worker_record(status, log_tail=tail, error="mine")}).group, []
    )
    assert (record.status, record.error) == (status, "worker 1: mine")


@pytest.mark.parametrize(
    ("settings", "epochs", "status"),
    [
        ({"jit": "step"}, (), "unsupported"),
        ({"jit": "step"}, timed(1.0), "worker_lost"),
        ({"jit": "none"}, (), "worker_lost"),
    ],
)
def test_an_abort_means_unsupported_only_for_a_refusable_program_without_epochs(
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    epochs: tuple[EpochRecord, ...],
    status: Status,
) -> None:
    log = WorkerLog("F0000 00:00:1 1 xla.cc:12] Check failed: replicas == 1 (2 vs. 1)", None)
    monkeypatch.setattr(
        "bench.execution.ray_backend.workers.worker_records.fetch_worker_logs", lambda _: {0: log}
    )
    trial = make_plan(suite_of(SINGLE, **settings)).trials[0]
    group = FakeGroup(trial, errors={0: RayActorError()}).group
    assert failure_record(group, epochs).status == status


def test_reported_epochs_outlive_every_worker() -> None:
    epochs = timed(1.0)
    record = failure_record(FakeGroup(errors={0: RayActorError()}).group, epochs)
    assert record.epochs == epochs
    assert terminated_record(FakeGroup().group, "timed_out", "too slow", epochs).epochs == epochs


@pytest.mark.parametrize(
    ("heartbeats", "behind"),
    [
        ({0: 7, 1: 6, 2: 7}, [1]),
        ({0: 7, 1: 6, 2: 6}, [1, 2]),
        ({0: 0, 2: 0}, [1]),
        ({0: 7, 1: 7, 2: 7}, []),
        ({}, []),
    ],
)
def test_the_workers_with_the_fewest_heartbeats_are_furthest_behind(
    heartbeats: dict[int, int], behind: list[int]
) -> None:
    assert slowest_workers(heartbeats, workers=3) == behind
