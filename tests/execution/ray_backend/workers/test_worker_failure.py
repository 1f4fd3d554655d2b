"""What Ray raises in a worker's place, and what the worker left, make its failure."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RaySystemError

from bench.execution.ray_backend.ray_executor import RayExecutor
from bench.execution.ray_backend.workers import worker_failure as module
from bench.execution.ray_backend.workers.worker_failure import (
    _take_on_node,
    classify_failure,
    take_worker_logs,
)
from bench.execution.ray_backend.workers.worker_location import WorkerLocation
from bench.files.log_tail import TAIL_BYTES
from bench.records.trial_failure import TrialFailure

MakeLocation = Callable[..., WorkerLocation]


@pytest.fixture
def dead_worker(ray_executor: RayExecutor, tmp_path: Path) -> MakeLocation:
    """The location of a worker that has died on this node and left these words in its log."""
    del ray_executor

    def make(words: str, oom_kills: int | None = None) -> WorkerLocation:
        log = tmp_path / "worker.log"
        log.write_text(words)
        node_id = ray.get_runtime_context().get_node_id()
        return WorkerLocation("here", node_id, 4711, "127.0.0.1", None, str(log), oom_kills)

    return make


def failure_at(location: WorkerLocation) -> TrialFailure:
    """The failure of a holder that died there."""
    return classify_failure(RayActorError(), location, take_worker_logs([location])[location])


def test_a_process_that_died_without_a_reason_is_lost_and_named(dead_worker: MakeLocation) -> None:
    failure = failure_at(dead_worker("all is well"))
    assert failure.status == "worker_lost"
    assert "its process (pid 4711 on here) died" in failure.reason


@pytest.mark.parametrize(
    "words", ["terminate called after throwing std::bad_alloc", "RESOURCE_EXHAUSTED: out of it"]
)
def test_a_log_that_speaks_of_memory_is_believed(dead_worker: MakeLocation, words: str) -> None:
    assert failure_at(dead_worker(words)).status == "out_of_memory"


def test_the_kernel_s_count_of_processes_ended_for_memory_is_believed(
    dead_worker: MakeLocation,
) -> None:
    location = dead_worker("")
    counted = take_worker_logs([location])[location].oom_kills
    assert counted is not None
    before = dead_worker("", counted - 1)
    assert failure_at(before).status == "out_of_memory"
    assert failure_at(dead_worker("", counted)).status == "worker_lost"


def test_flags_that_xla_does_not_know_are_a_fault_of_the_user_s(
    dead_worker: MakeLocation,
) -> None:
    words = "F0000 00:00:1 1 parse_flags_from_env.cc:234] Unknown flag in TF_XLA_FLAGS: --no=1\n"
    # The parser may list all flags that there are.
    failure = failure_at(dead_worker(words + "\t--flag=false\tbool\n" * TAIL_BYTES))
    assert failure.status == "failed"
    assert "TF_XLA_FLAGS" in failure.reason


@pytest.mark.parametrize(
    "words",
    [
        "F0000 00:00:1 1 xla.cc:12] Check failed: replicas == 1 (2 vs. 1)\n",
        "F0000 00:00:1 1 cuda_executor.cc:12] Check failed: CUDA_ERROR_ILLEGAL_ADDRESS\n",
        "F0000 00:00:1 1 coordination_service_agent.cc:1] Check failed: connected\n",
    ],
)
def test_an_abort_of_tensorflow_does_not_explain_the_end_of_a_holder(
    dead_worker: MakeLocation, words: str
) -> None:
    assert failure_at(dead_worker(words)).status == "worker_lost"


@pytest.mark.parametrize(
    "error", [OutOfMemoryError("node"), RaySystemError("NODE_OUT_OF_MEMORY: ended")]
)
def test_ray_s_own_word_on_memory_needs_no_log(error: Exception) -> None:
    assert classify_failure(error, None, None).status == "out_of_memory"


def test_any_other_fault_of_ray_s_is_a_failure_in_one_line() -> None:
    failure = classify_failure(RaySystemError("first\n  second"), None, None)
    assert failure.status == "failed"
    assert "\n" not in failure.reason


def test_a_log_s_end_is_fetched_once_and_then_deleted(dead_worker: MakeLocation) -> None:
    location = dead_worker("x" * TAIL_BYTES + "the end")
    tail = take_worker_logs([location])[location].log_tail or ""
    assert tail.endswith("the end")
    assert len(tail) == TAIL_BYTES
    assert not Path(location.log).exists()
    assert take_worker_logs([location])[location].log_tail is None


def test_a_lost_node_has_no_log_and_does_not_block_the_others(
    dead_worker: MakeLocation,
) -> None:
    location = dead_worker("all is well")
    gone = WorkerLocation("there", "ab" * 28, 1, "", None, location.log, None)
    assert set(take_worker_logs([gone, location, gone])) == {location}


def test_one_task_takes_all_logs_of_a_node(
    dead_worker: MakeLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[list[str]] = []

    def count(node_id: str, locations: Sequence[WorkerLocation]) -> object:
        tasks.append([location.log for location in locations])
        return _take_on_node(node_id, locations)

    monkeypatch.setattr(module, "_take_on_node", count)
    one = dead_worker("one")
    other = dataclasses.replace(one, log=f"{one.log}.other")
    Path(other.log).write_text("other")
    logs = take_worker_logs([one, other, one])
    assert {location: log.log_tail for location, log in logs.items()} == {
        one: "one",
        other: "other",
    }
    assert tasks == [[one.log, other.log]]
