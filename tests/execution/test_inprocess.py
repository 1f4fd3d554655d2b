"""GPUs of a trial in the process that asks for it: cards of a library, which TensorFlow lacks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import ResourceError
from bench.execution.inprocess import InProcessExecutor
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial
from tests.support.observers import observe, observe_in_subprocess
from tests.support.sample_suites import SINGLE, suite_of, write_suite

CARD = "GPU-0000aaaa-0000-0000-0000-000000000000"


@pytest.fixture(autouse=True)
def a_card(fake_nvml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
    monkeypatch.setenv("FAKE_GPUS", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "BENCH_LOGICAL_GPUS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.slow
def test_a_trial_does_not_silently_train_on_the_cpu_of_a_machine_with_a_gpu() -> None:
    (record,) = observe_in_subprocess("inprocess", SINGLE).records
    assert (record.status, record.epochs) == ("failed", ())
    assert CARD in (record.error or "")
    variables = record.resolved["variables"]
    assert variables["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert "CUDA_CACHE_PATH" in variables


def test_an_environment_needs_processes_of_its_own() -> None:
    suite = suite_of({**SINGLE, "environments": {"a": {"threads": 1}}}, environment="a")
    with (
        InProcessExecutor() as executor,
        pytest.raises(ResourceError, match="environment 'a' needs processes of its own"),
    ):
        observe(executor, suite)


@pytest.mark.parametrize("threads", [1, None])
def test_threads_bind_the_process_only_during_the_run(
    threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_LOGICAL_GPUS", "1")
    during: list[set[int]] = []

    def trained(trial: Trial, *_: object) -> TrialRecord:
        during.append(os.sched_getaffinity(0))
        return TrialRecord(trial=trial, status="completed")

    monkeypatch.setattr("bench.execution.inprocess._train", trained)
    # Other tests of this process may have run TensorFlow, with its threads.
    monkeypatch.setattr("bench.execution.inprocess._check_tensorflow", lambda _: None)
    before = os.sched_getaffinity(0)
    asked = {} if threads is None else {"threads": threads}
    suite = suite_of({**SINGLE, "variant": {**SINGLE["variant"], **asked}})
    with InProcessExecutor() as executor:
        (record,) = observe(executor, suite).records
    (bound,) = during
    assert os.sched_getaffinity(0) == before
    assert len(bound) == (threads or len(before))
    cores = record.resolved.get("allotted", {}).get("cores")
    assert cores == (tuple(bound) if threads else None)


@pytest.mark.slow
@pytest.mark.parametrize("variable", [("CUDA_VISIBLE_DEVICES", "-1"), ("BENCH_LOGICAL_GPUS", "1")])
def test_a_trial_trains_on_the_cpu_if_the_gpu_is_hidden_or_logical(
    variable: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*variable)
    (record,) = observe_in_subprocess("inprocess", SINGLE).records
    assert (record.status, record.devices) == ("completed", ("CPU:0",))


USED = """
import sys
import tensorflow as tf
import bench
from bench.errors import ResourceError

tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[2]))
tf.config.threading.set_inter_op_parallelism_threads(int(sys.argv[3]))
tf.constant(1.0) + 1
try:
    print(bench.run(sys.argv[1], out="run", executor="inprocess").succeeded)
except ResourceError as error:
    print(error.exit_code)
"""


@pytest.mark.parametrize(("within", "between"), [(0, 0), (3, 1), (1, 3)])
def test_a_tensorflow_that_computes_with_other_threads_is_refused_before_the_first_trial(
    tmp_path: Path, within: int, between: int
) -> None:
    one = {**SINGLE, "variant": {**SINGLE["variant"], "threads": 1}}
    suite = write_suite(tmp_path / "one.toml", one)
    words = [sys.executable, "-c", USED, str(suite), str(within), str(between)]
    env = {**os.environ, "BENCH_LOGICAL_GPUS": "1"}
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "2", done.stderr
    assert not (tmp_path / "run").exists()
