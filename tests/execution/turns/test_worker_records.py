"""One record for the workers of a trial, from their records and how the others ended."""

from typing import Any

import pytest

from bench.execution.turns.worker_records import (
    failure_record,
    join_tails,
    merge_records,
    slowest_workers,
)
from bench.records.epoch_record import EpochRecord
from bench.records.measures import Measures
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Trial, make_plan
from tests.support.gangs import gang_suite
from tests.support.sample_records import make_record

TRIAL = make_plan(gang_suite()).trials[0]
LOST = TrialFailure("worker_lost", "its process was killed by SIGKILL")
NODES = {0: "node-0", 1: "node-1"}


def failed(
    records: dict[int, TrialRecord] | None = None,
    failures: dict[int, TrialFailure] | None = None,
    epochs: tuple[EpochRecord, ...] = (),
) -> TrialRecord:
    """The record of a trial with such workers."""
    return failure_record(TRIAL, records or {}, failures or {}, epochs, NODES)


def worker_record(status: Status = "completed", trial: Trial = TRIAL, **fields: Any) -> TrialRecord:
    """The record of one worker."""
    return make_record(trial).model_copy(update={"status": status, **fields})


def of_weights(l2: float, peak: int | None = 10) -> Measures:
    return Measures(weights_l2=l2, peak_rss_bytes=peak, peak_device_memory_bytes=peak)


def timed(epoch_s: float) -> tuple[EpochRecord, ...]:
    return tuple(e.model_copy(update={"epoch_s": epoch_s}) for e in make_record(TRIAL).epochs)


def test_a_record_has_each_warning_of_its_workers_once() -> None:
    first, second = (
        worker_record(warnings=("both", "first")),
        worker_record(warnings=("both", "second")),
    )
    assert merge_records({0: first, 1: second}).warnings == (
        "both",
        "first",
        "second",
    )


def test_an_epoch_takes_as_long_as_the_slowest_worker() -> None:
    first, second = timed(1.0), timed(3.0)
    chief = (first[0], second[1])
    other = (second[0], first[1])
    records = {1: worker_record(epochs=other), 0: worker_record(epochs=chief)}
    assert [e.epoch_s for e in merge_records(records).epochs] == [3.0, 3.0]


def test_memory_is_the_largest_worker_s_and_none_if_unmeasured() -> None:
    for peaks, expected in (((10, 30), 30), ((10, None), 10), ((None, None), None)):
        records = {i: worker_record(measures=of_weights(1.0, peak)) for i, peak in enumerate(peaks)}
        found = merge_records(records).measures
        assert found.peak_rss_bytes == found.peak_device_memory_bytes == expected


def test_the_share_of_taken_cores_is_the_largest_worker_s() -> None:
    for shares, expected in (((0.1, 0.3), 0.3), ((0.2, None), 0.2), ((None, None), None)):
        records = {
            i: worker_record(measures=of_weights(1.0).model_copy(update={"cpu_taken_share": share}))
            for i, share in enumerate(shares)
        }
        assert merge_records(records).measures.cpu_taken_share == expected


def test_each_worker_s_own_devices_are_named_once() -> None:
    known = tuple(f"/job:worker/replica:0/task:{i}/device:CPU:0" for i in (0, 1))
    records = {i: worker_record(devices=known, node=f"node-{i}") for i in (0, 1)}
    assert merge_records(records).devices == (
        "node-0/worker:0/CPU:0",
        "node-1/worker:1/CPU:0",
    )


def test_workers_that_end_with_different_weights_have_failed() -> None:
    records = {i: worker_record(measures=of_weights(1.0 + i)) for i in (0, 1)}
    record = merge_records(records)
    assert record.status == "failed"
    assert "different weights (L2 norms ['1.0', '2.0'])" in (record.error or "")


def completed_with(first: float, second: float, **settings: Any) -> Status:
    """The status of two workers that ended with weights of these norms."""
    trial = make_plan(gang_suite(**settings)).trials[0]
    norms = enumerate((first, second))
    records = {i: worker_record(trial=trial, measures=of_weights(norm)) for i, norm in norms}
    return merge_records(records).status


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
    record = failed({0: worker_record("failed", error="Connection reset by peer")}, {1: LOST})
    assert (record.status, record.node) == ("worker_lost", "node-1")
    assert record.error == "worker 1: its process was killed by SIGKILL"


def test_of_two_that_died_the_first_is_named() -> None:
    assert (failed(failures={1: LOST, 0: LOST}).error or "").startswith("worker 1: ")


def test_memory_explains_a_lost_worker() -> None:
    record = failed(failures={0: LOST, 1: TrialFailure("out_of_memory", "no room")})
    assert (record.status, record.error) == ("out_of_memory", "worker 1: no room")


def test_a_worker_that_sends_no_heartbeats_is_lost_not_its_peers() -> None:
    tail = (
        "Collective ops is aborted by: The following tasks are unhealthy (stopped sending "
        "heartbeats):\n/job:worker/replica:0/task:1\nThe tasks have crashed."
    )
    record = failed({0: worker_record("failed", log_tail=tail)})
    assert record.status == "worker_lost"
    assert (record.error or "").startswith("worker 1: its peers stopped receiving heartbeats")


def test_a_silent_worker_that_died_has_its_own_reason() -> None:
    tail = "stopped sending heartbeats):\n/job:worker/replica:0/task:1"
    memory = TrialFailure("out_of_memory", "no room")
    record = failed({0: worker_record("failed", log_tail=tail)}, {1: memory})
    assert (record.status, record.error) == ("out_of_memory", "worker 1: no room")


def test_worker_0_is_lost_if_its_coordination_service_does_not_answer() -> None:
    tail = (
        "Collective ops is aborted by: Deadline Exceeded\n\n"
        "RPC: /tensorflow.CoordinationService/Heartbeat"
    )
    record = failed({1: worker_record("failed", log_tail=tail)})
    assert record.status == "worker_lost"
    assert (record.error or "").startswith("worker 0: its peers stopped receiving heartbeats")


@pytest.mark.parametrize("status", ["out_of_memory", "unsupported", "diverged"])
def test_a_worker_with_its_own_failure_blames_no_other(status: Status) -> None:
    tail = "RPC: /tensorflow.CoordinationService/Heartbeat"
    record = failed({1: worker_record(status, log_tail=tail, error="mine")})
    assert (record.status, record.error) == (status, "worker 1: mine")


def test_reported_epochs_outlive_every_worker() -> None:
    epochs = timed(1.0)
    assert failed(failures={0: LOST}, epochs=epochs).epochs == epochs


def test_the_ends_of_logs_name_their_workers() -> None:
    assert join_tails({1: "b", 0: "a", 2: None}) == "[worker 0] a\n[worker 1] b"
    assert join_tails({0: None}) is None


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
