"""Data in the object store: read once, kept while needed, and a trial's own trouble if not."""

from typing import Any

import pytest
import ray
from ray.exceptions import ObjectStoreFullError, OutOfDiskError

from bench.errors import DatasetError
from bench.execution.executor import Event, Executor, Limits, RunWarning, TrialStart
from bench.execution.inprocess import InProcessExecutor
from bench.execution.ray_backend.blocks.dataset_store import DatasetStore, DatasetUnavailable
from bench.execution.ray_backend.ray_executor import RayExecutor
from bench.records.trial_record import Status
from bench.spec.plan import Block, Trial, make_plan
from tests.support.observers import LIMITS, observe
from tests.support.sample_suites import SINGLE, suite_of


def trial_of(**settings: Any) -> Trial:
    """One trial of the tiny synthetic suite."""
    return make_plan(suite_of(SINGLE, **settings)).trials[0]


SMALL, LARGE, HUGE = (trial_of(shape=[n, n, 1]) for n in (4, 6, 6000))
REAL = trial_of(dataset="fashion_mnist")


def refuses(error: Exception) -> Any:
    def load(_variant: object) -> None:
        raise error

    return load


def test_equal_data_is_read_once_and_evicted_when_unused(
    ray_executor: RayExecutor,
) -> None:
    del ray_executor
    datasets = DatasetStore()
    held = datasets.reference(SMALL)
    assert datasets.reference(trial_of(norm="bn_post")) == held != datasets.reference(LARGE)
    assert ray.get(held).shape == (4, 4, 1)
    datasets.evict_unused([LARGE, HUGE])
    assert len(datasets) == 1
    assert datasets.reference(SMALL) != held
    datasets.clear()
    assert len(datasets) == 0


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (MemoryError("Unable to allocate 9 PiB"), "out_of_memory", "MemoryError: Unable to"),
        (MemoryError(), "out_of_memory", "the data could not be loaded: MemoryError"),
        (ObjectStoreFullError("long"), "out_of_memory", "object store has no room for the data"),
        (OutOfDiskError("long"), "failed", "the disks at /dev/shm ("),
        (DatasetError("no folder has it: fetch it"), "failed", "no folder has it: fetch it"),
        (ValueError("Maximum allowed\ndimension"), "failed", "ValueError: Maximum allowed dim"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_unavailable_data_determines_the_status_of_its_trial(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: Status, words: str
) -> None:
    monkeypatch.setattr(
        "bench.execution.ray_backend.blocks.dataset_store.load_arrays", refuses(error)
    )
    with pytest.raises(DatasetUnavailable) as caught:
        DatasetStore().reference(SMALL)
    assert caught.value.status == status
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_trial_whose_data_cannot_be_made_fails_alone(ray_executor: RayExecutor) -> None:
    blocks = [Block(repeat=i, trials=(trial,)) for i, trial in enumerate((HUGE, SMALL))]
    records = {record.trial: record for record in observe(ray_executor, blocks).records}
    assert records[HUGE].status == "failed"
    assert (records[HUGE].error or "").endswith("lower shape")
    assert records[HUGE].wall_s is not None
    assert records[SMALL].status == "completed"


@pytest.mark.slow
def test_a_run_holds_no_data_that_only_ended_blocks_needed(ray_executor: RayExecutor) -> None:
    held: list[int] = []

    def look(event: Event) -> None:
        if isinstance(event, TrialStart):
            held.append(len(ray_executor._datasets))

    ray_executor._datasets.clear()
    blocks = [Block(repeat=i, trials=(trial,)) for i, trial in enumerate((SMALL, LARGE, SMALL))]
    observe(ray_executor, blocks, LIMITS, look)
    # As each starts: its own; that of the last too; no more that of the second.
    assert held == [1, 2, 1]
    assert len(ray_executor._datasets) == 0


@pytest.mark.parametrize("name", ["ray", "inprocess"])
def test_real_data_that_cannot_be_had_is_one_error_before_anything_starts(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = refuses(DatasetError("no folder holds Fashion-MNIST: fetch it"))
    for module in ("ray_backend.blocks.dataset_store", "inprocess"):
        monkeypatch.setattr(f"bench.execution.{module}.load_arrays", missing)
    executor: Executor = (
        request.getfixturevalue("ray_executor") if name == "ray" else InProcessExecutor()
    )
    begun: list[Event] = []
    blocks = [Block(repeat=0, trials=(SMALL,)), Block(repeat=1, trials=(REAL,))]
    with pytest.raises(DatasetError, match="fetch it") as caught:
        list(executor.run(blocks, Limits(trial_timeout_s=3600.0), begun.append))
    assert caught.value.exit_code == 5
    assert [event for event in begun if not isinstance(event, RunWarning)] == []  # of other load
