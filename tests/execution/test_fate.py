"""What Ray raises in a worker's place, and what the worker left, make its fate."""

from collections.abc import Callable
from pathlib import Path

import pytest
import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RaySystemError

from bench.execution.fate import fate_of, fetch_remains, log_tails
from bench.execution.ray_executor import RayExecutor
from bench.execution.worker import TAIL_BYTES, Place

MakePlace = Callable[..., Place]


@pytest.fixture
def left(ray_executor: RayExecutor, tmp_path: Path) -> MakePlace:
    """The place of a worker that has died on this node and left these words in its log."""
    del ray_executor

    def make(words: str, oom_kills: int | None = None) -> Place:
        log = tmp_path / "worker.log"
        log.write_text(words)
        node_id = ray.get_runtime_context().get_node_id()
        return Place("here", node_id, 4711, (), "127.0.0.1:1", str(log), oom_kills)

    return make


def test_a_process_that_left_no_reason_is_lost_and_named(left: MakePlace) -> None:
    fate = fate_of(RayActorError(), left("all is well"), refusable=False)
    assert fate.status == "worker_lost"
    assert "its process (pid 4711 on here) died" in fate.reason


@pytest.mark.parametrize(
    "words", ["terminate called after throwing std::bad_alloc", "RESOURCE_EXHAUSTED: out of it"]
)
def test_a_log_that_speaks_of_memory_is_believed(left: MakePlace, words: str) -> None:
    assert fate_of(RayActorError(), left(words), refusable=False).status == "out_of_memory"


def test_the_kernel_s_count_of_processes_ended_for_memory_is_believed(left: MakePlace) -> None:
    counted = fetch_remains(left("")).oom_kills
    assert counted is not None
    before = left("", counted - 1)
    assert fate_of(RayActorError(), before, refusable=False).status == "out_of_memory"
    assert fate_of(RayActorError(), left("", counted), refusable=False).status == "worker_lost"


@pytest.mark.parametrize(("refusable", "status"), [(True, "unsupported"), (False, "worker_lost")])
def test_an_abort_of_tensorflow_is_an_answer_only_where_it_may_refuse(
    left: MakePlace, refusable: bool, status: str
) -> None:
    words = "F0000 00:00:1 1 xla.cc:12] Check failed: replicas == 1 (2 vs. 1)\n"
    fate = fate_of(RayActorError(), left(words), refusable=refusable)
    assert fate.status == status
    if refusable:
        assert "Check failed: replicas == 1" in fate.reason


@pytest.mark.parametrize(
    "error", [OutOfMemoryError("node"), RaySystemError("NODE_OUT_OF_MEMORY: ended")]
)
def test_ray_s_own_word_on_memory_needs_no_log(error: Exception) -> None:
    assert fate_of(error, None, refusable=True).status == "out_of_memory"


def test_any_other_fault_of_ray_s_is_a_failure_in_one_line() -> None:
    fate = fate_of(RaySystemError("first\n  second"), None, refusable=True)
    assert fate.status == "failed"
    assert "\n" not in fate.reason


def test_a_log_s_end_is_fetched_once_and_then_deleted(left: MakePlace) -> None:
    place = left("x" * TAIL_BYTES + "the end")
    (tail,) = log_tails({0: place}).values()
    assert tail.endswith("the end")
    assert len(tail) == TAIL_BYTES
    assert not Path(place.log).exists()
    assert log_tails({0: place}) == {}


def test_a_node_that_is_gone_left_nothing(left: MakePlace) -> None:
    place = left("all is well")
    gone = Place("there", "ab" * 28, 1, (), "", place.log, None)
    assert fetch_remains(gone).log_tail is None
