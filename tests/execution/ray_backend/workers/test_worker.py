"""A worker from the inside: what it is given, and what TensorFlow makes of that."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from bench.datasets.load import load_arrays
from bench.errors import ResourceError
from bench.execution.gpus.gpu_fitness import AcquiredGpus, GpuAllotment
from bench.execution.gpus.gpu_visibility import set_visible_gpus
from bench.execution.ray_backend.ray_executor import RayExecutor
from bench.execution.ray_backend.workers.port_guard import PortGuard
from bench.execution.ray_backend.workers.worker import Worker
from bench.records.trial_record import TrialRecord
from bench.spec.plan import make_plan
from tests.support.sample_suites import SINGLE, suite_of

TRIAL = make_plan(suite_of(SINGLE)).trials[0]


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """A worker's process ends with its trial; this one goes on."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def worker_of(allotment: GpuAllotment, *gpus: str) -> Worker:
    """One to which Ray gave these GPUs."""
    made = Worker(allotment)
    made._gpus = gpus
    return made


def train(worker: Worker, logs: Path) -> TrialRecord:
    """Train ``TRIAL`` in this process, as Ray would have ``worker`` do."""
    worker._log = str(logs / "worker.log")
    actor = SimpleNamespace(report=SimpleNamespace(remote=lambda *_: None))
    arrays, threads = [ray.put(load_arrays(TRIAL.variant))], len(os.sched_getaffinity(0))
    answer = worker.train(TRIAL.model_dump_json(), arrays, threads, actor, "key", None)
    assert isinstance(answer, str)
    return TrialRecord.model_validate_json(answer)


@pytest.mark.usefixtures("configured_tensorflow")
@pytest.mark.parametrize(("logical", "status"), [(False, "failed"), (True, "completed")])
def test_a_gpu_that_tensorflow_does_not_see_fails_the_trial_unless_it_is_only_counted(
    monkeypatch: pytest.MonkeyPatch,
    ray_executor: RayExecutor,
    tmp_path: Path,
    logical: bool,
    status: str,
) -> None:
    """There is no driver to ask: Ray's own count is what is compared."""
    del ray_executor
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("bench.execution.gpus.gpu_fitness.gpus", tuple)
    worker = worker_of(GpuAllotment(gpus=1, logical=logical), "0")
    record = train(worker, tmp_path)
    assert record.status == status, record.error
    assert record.resolved["variables"]["CUDA_VISIBLE_DEVICES"] == "0"
    compared, counted = ([], ["0"]) if logical else (["0"], [])
    allotted = record.resolved["allotted"]
    assert (allotted["gpus"], allotted["logical_gpus"]) == (compared, counted)
    if not logical:
        assert record.epochs == ()


@pytest.mark.usefixtures("configured_tensorflow", "ray_executor")
def test_refused_caches_are_warnings_in_the_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("in the way")
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.delenv("CUDA_CACHE_PATH", raising=False)
    monkeypatch.setenv("CUDA_CACHE_MAXSIZE", "7")
    taken = AcquiredGpus(("0",), ("GPU-0000aaaa-0000-0000-0000-000000000000",))
    monkeypatch.setattr("bench.execution.ray_backend.workers.worker.acquire_gpus", lambda *_: taken)
    worker = worker_of(GpuAllotment(gpus=1, logical=True), "0")
    record = train(worker, tmp_path)
    assert record.resolved["autotune_cache"] is None
    assert len(record.warnings) == 2


@pytest.mark.parametrize("gpus", [(), ("0", "1")], ids=["none", "more"])
def test_a_worker_that_ray_gave_another_number_of_gpus_does_not_start(gpus: tuple[str]) -> None:
    with pytest.raises(ResourceError):
        worker_of(GpuAllotment(gpus=1), *gpus).train(
            TRIAL.model_dump_json(), [], 1, None, "key", None
        )


@pytest.mark.parametrize(("gpus", "visible"), [((), "-1"), (("2",), "2"), (("2", "3"), "2,3")])
def test_a_process_sees_what_it_was_given_whatever_its_environment_says(
    monkeypatch: pytest.MonkeyPatch, gpus: tuple[str, ...], visible: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    set_visible_gpus(gpus)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_a_worker_opens_its_port_to_its_peers_as_tensorflow_is_about_to_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TF_GRPC_REUSE_PORT", "0")
    admitted: list[str] = []
    worker = worker_of(GpuAllotment())
    worker._guard = PortGuard()
    monkeypatch.setattr(worker._guard, "admit", admitted.extend)
    peers = ["10.0.0.1:1", "[fd00::2]:2"]
    worker._admit_peers(
        json.dumps({"cluster": {"worker": peers}, "task": {"type": "worker", "index": 0}})
    )
    assert admitted == ["10.0.0.1", "fd00::2"]
    assert os.environ["TF_GRPC_REUSE_PORT"] == "1"
    worker._guard.close()


TRAINS = """
import sys
from bench.execution.gpus.gpu_fitness import GpuAllotment
from bench.execution.ray_backend.workers.worker import Worker

worker = Worker(GpuAllotment(gpus=1, free_timeout_s=0.0))
worker._gpus = ("0",)
found = worker.train({trial!r}, [], 1, None, "key", None)
print([(gpu.name, gpu.uuid, bool(gpu.unfit)) for gpu in found.gpus])
print("tensorflow" in sys.modules)
"""


@pytest.mark.parametrize(
    ("fake", "uuid"),
    [
        ({"FAKE_NVML_COMPUTING": "1234"}, "GPU-0000aaaa-0000-0000-0000-000000000000"),
        ({"FAKE_GPUS": "0", "FAKE_NVML_FAIL": "nvmlDeviceGetCount_v2=999"}, None),
    ],
    ids=["in use", "the driver is broken"],
)
def test_nothing_trains_and_no_tensorflow_is_loaded_where_a_gpu_is_unfit(
    fake_nvml: Path, fake: dict[str, str], uuid: str | None
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAINS.format(trial=TRIAL.model_dump_json())],
        env={**os.environ, "LD_LIBRARY_PATH": str(fake_nvml), **fake},
        capture_output=True,
        text=True,
        check=True,
    )
    found, loaded = done.stdout.splitlines()
    assert found == str([("0", uuid, True)])
    assert loaded == "False"
