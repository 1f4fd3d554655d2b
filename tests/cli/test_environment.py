"""Runs in the environments that job schedulers, sites and other programs leave behind."""

import json
from pathlib import Path

import pytest

from bench.records.run_folder import RunFolder
from tests.cli.conftest import Command, complaint
from tests.support.processes import bench
from tests.support.sample_suites import SINGLE, written

FOREIGN = {
    "cluster": {"worker": ["192.0.2.1:2222", "192.0.2.2:2222"]},
    "task": {"type": "worker", "index": 1},
}
NOBODY = "http://127.0.0.1:9"


@pytest.mark.slow
def test_workers_meet_whatever_cluster_and_proxy_the_environment_names(tmp_path: Path) -> None:
    several = {"strategy": "multi_worker", "per_replica_batch_size": 32}
    suite = {
        **SINGLE,
        "variant": {**SINGLE["variant"], **several},
        "matrix": {"workers": [1, 2]},
        "stall_timeout_s": 120.0,
    }
    env = {
        "TF_CONFIG": json.dumps(FOREIGN),
        **dict.fromkeys(("http_proxy", "https_proxy", "grpc_proxy"), NOBODY),
        "no_proxy": "localhost",
    }
    done = bench("run", written(tmp_path / "gangs.toml", suite), "--out", tmp_path / "run", env=env)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_flags_that_xla_does_not_know_fail_all_trials_at_once_which_are_tried_again(
    tmp_path: Path,
) -> None:
    suite = written(tmp_path / "suite.toml", {**SINGLE, "blocks": 2})
    words = ("run", suite, "--out", tmp_path / "run")
    done = bench(*words, env={"XLA_FLAGS": "--xla_no_such_flag=1"})
    assert done.returncode == 5, done.stderr
    records = list(RunFolder.open(tmp_path / "run").records())
    assert [record.status for record in records] == ["failed", "failed"]
    assert all("XLA_FLAGS" in (record.error or "") for record in records)
    assert {record.node for record in records} == {None}  # none was started
    done = bench(*words, "--resume", env={"XLA_FLAGS": ""})
    assert done.returncode == 0, done.stderr
    assert [r.status for r in RunFolder.open(tmp_path / "run").records()][-2:] == ["completed"] * 2


@pytest.mark.parametrize("executor", ["ray", "inprocess"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("KERAS_BACKEND", "jax"), ("TF_XLA_FLAGS", "--tf_xla_auto_jit=2")],
)
def test_a_variable_that_contradicts_the_suite_is_refused_before_anything_starts(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    executor: str,
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(name, value)
    single = written(tmp_path / "single.toml", SINGLE)
    done = command("run", single, "--executor", executor, "--out", "run")
    assert f"{name}={value}" in complaint(done, 2)
    assert not Path("run").exists()


@pytest.mark.slow
def test_a_variable_for_threads_is_refused_unless_the_suite_says_how_many(tmp_path: Path) -> None:
    words = ("run", written(tmp_path / "single.toml", SINGLE), "--out", tmp_path / "run")
    env = {"OMP_NUM_THREADS": "4096"}
    done = bench(*words, env=env)
    assert done.returncode == 2
    said = done.stderr.splitlines()[-1]
    assert "OMP_NUM_THREADS=4096" in said
    assert "threads" in said
    assert not (tmp_path / "run").exists()
    done = bench(*words, "--set", "threads=1", env=env)
    assert done.returncode == 0, done.stderr
    (record,) = RunFolder.open(tmp_path / "run").records()
    assert record.resolved["variables"]["OMP_NUM_THREADS"] == "1"
    assert record.resolved["intra_op_threads"] == 1
    assert len(record.resolved["allotted"]["cores"]) == 1
