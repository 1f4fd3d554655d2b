"""Runs with environment variables that job schedulers, sites and other programs set."""

import json
from pathlib import Path

import pytest

from bench.records.run_folder import RunFolder
from tests.cli.conftest import Command, error_line
from tests.support.processes import bench
from tests.support.sample_suites import SINGLE, write_suite

FOREIGN = {
    "cluster": {"worker": ["192.0.2.1:2222", "192.0.2.2:2222"]},
    "task": {"type": "worker", "index": 1},
}
NOBODY = "http://127.0.0.1:9"


@pytest.mark.slow
def test_workers_connect_despite_foreign_clusters_and_proxies_in_the_environment(
    tmp_path: Path,
) -> None:
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
    result = bench(
        "run", write_suite(tmp_path / "groups.toml", suite), "--out", tmp_path / "run", env=env
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_unknown_xla_flags_fail_all_trials_at_once_and_resuming_repeats_them(
    tmp_path: Path,
) -> None:
    suite = write_suite(tmp_path / "suite.toml", {**SINGLE, "blocks": 2})
    words = ("run", suite, "--out", tmp_path / "run")
    result = bench(*words, env={"XLA_FLAGS": "--xla_no_such_flag=1"})
    assert result.returncode == 5, result.stderr
    records = list(RunFolder.open(tmp_path / "run").records())
    assert [record.status for record in records] == ["failed", "failed"]
    assert all("XLA_FLAGS" in (record.error or "") for record in records)
    assert {record.node for record in records} == {None}  # none was started
    result = bench(*words, "--resume", env={"XLA_FLAGS": ""})
    assert result.returncode == 0, result.stderr
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
    single = write_suite(tmp_path / "single.toml", SINGLE)
    result = command("run", single, "--executor", executor, "--out", "run")
    assert f"{name}={value}" in error_line(result, 2)
    assert not Path("run").exists()


@pytest.mark.slow
def test_a_variable_for_threads_is_refused_unless_the_suite_sets_threads(tmp_path: Path) -> None:
    words = ("run", write_suite(tmp_path / "single.toml", SINGLE), "--out", tmp_path / "run")
    env = {"OMP_NUM_THREADS": "4096"}
    result = bench(*words, env=env)
    assert result.returncode == 2
    message = result.stderr.splitlines()[-1]
    assert "OMP_NUM_THREADS=4096" in message
    assert "threads" in message
    assert not (tmp_path / "run").exists()
    result = bench(*words, "--set", "threads=1", env=env)
    assert result.returncode == 0, result.stderr
    (record,) = RunFolder.open(tmp_path / "run").records()
    assert record.resolved["variables"]["OMP_NUM_THREADS"] == "1"
    assert record.resolved["intra_op_threads"] == 1
    assert len(record.resolved["allotted"]["cores"]) == 1
