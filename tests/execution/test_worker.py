"""A worker from the inside: what it is given, and what TensorFlow makes of that."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from bench.datasets.load import load_arrays
from bench.execution.ray_executor import RayExecutor
from bench.execution.worker import Worker
from bench.measure.gpu import Gpu
from bench.records.record import TrialRecord
from bench.spec.plan import make_plan
from tests.suites_made import SINGLE, suite_of

TRIAL = make_plan(suite_of(SINGLE)).trials[0]
CARD = Gpu(0, "Card", "GPU-11111111", "0000:01:00.0", 2**30, "8.0", mig=False)


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    """One that writes where this test does."""
    made = Worker()
    made._log = str(tmp_path / "worker.log")
    return made


@pytest.mark.usefixtures("configured_tensorflow")
@pytest.mark.parametrize(("cards", "status"), [((CARD,), "failed"), ((), "completed")])
def test_a_gpu_that_tensorflow_does_not_see_fails_the_trial_unless_it_is_logical(
    monkeypatch: pytest.MonkeyPatch,
    ray_executor: RayExecutor,
    worker: Worker,
    tmp_path: Path,
    cards: tuple[Gpu, ...],
    status: str,
) -> None:
    del ray_executor
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("bench.measure.gpu.gpus", lambda: cards)
    monkeypatch.setattr("bench.measure.gpu.wait_until_free", lambda *_: 0.0)
    board = SimpleNamespace(post=SimpleNamespace(remote=lambda *_: None))
    arrays, threads = [ray.put(load_arrays(TRIAL.variant))], len(os.sched_getaffinity(0))
    answer = worker.train(TRIAL.model_dump_json(), arrays, threads, board, "a gang", None)
    record = TrialRecord.model_validate_json(answer)
    assert record.status == status, record.error
    assert record.resolved["variables"]["CUDA_VISIBLE_DEVICES"] == "0"
    assert (tmp_path / "autotuning").exists() == bool(cards)
    assert ("autotune_cache" in record.resolved) == bool(cards)
    if cards:
        assert "Ray gave GPU GPU-11111111, but this TensorFlow sees none" in (record.error or "")
        assert "install trainbench[gpu]" in (record.error or "")
        assert record.epochs == ()


TRAINS = """
import sys
from bench.errors import BenchError
from bench.execution import worker

worker.GPU_FREE_S = 0.0
try:
    worker.Worker().train({trial!r}, [], 1, None, "a gang", None)
except BenchError as error:
    print(error)
print("tensorflow" in sys.modules)
"""


def test_nothing_trains_and_no_tensorflow_is_loaded_while_a_gpu_is_in_use(fake_nvml: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAINS.format(trial=TRIAL.model_dump_json())],
        env={
            **os.environ,
            "LD_LIBRARY_PATH": str(fake_nvml),
            "FAKE_NVML_FREE_AFTER": "999",
            "CUDA_VISIBLE_DEVICES": "0",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    error, loaded = done.stdout.splitlines()
    assert "still holds 8192 MiB" in error
    assert loaded == "False"
