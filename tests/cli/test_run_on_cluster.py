"""Runs on an existing cluster with two logical GPUs and a token."""

import itertools
import json
import os
import platform
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.records.run_folder import RunFolder
from bench.records.trial_record import TrialRecord
from tests.support.processes import PATIENCE_S, bench, session_of, started
from tests.support.sample_suites import SHORT_AND_LONG, SINGLE, TINY, write_suite

pytestmark = pytest.mark.slow

RAY = str(Path(sys.executable).with_name("ray"))
LOGICAL = {"BENCH_LOGICAL_GPUS": "1"}
"""Without it, trials fail because TensorFlow would run them on the CPU."""


@dataclass(frozen=True)
class Cluster:
    """The address of the cluster, and the environment variables of its users."""

    address: str
    variables: dict[str, str]
    pid: int

    def ask(self, *words: str) -> Any:
        """Return the answer of a process that joins it (``tests.support.ray_cluster``)."""
        command = [
            sys.executable,
            "-m",
            "tests.support.ray_cluster",
            words[0],
            self.address,
            *words[1:],
        ]
        environment = {**os.environ, **self.variables, "RAY_AUTH_MODE": "token"}
        result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        return json.loads(result.stdout)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    token = {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
    words = "start --head --block --num-cpus 4 --num-gpus 2 --port 0 --include-dashboard false"
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        message = Path(folder, "said")
        with message.open("w") as log:
            head = subprocess.Popen(
                [RAY, *words.split(), "--temp-dir", folder, "--disable-usage-stats"],
                env={**os.environ, **token, "RAY_AUTH_MODE": "token"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield Cluster(_address(head, message), {**token, **LOGICAL}, head.pid)
        finally:
            head.terminate()
            psutil.wait_procs(session_of(head.pid), timeout=10)
            for processes in session_of(head.pid):
                processes.kill()
            head.wait()


def _address(head: "subprocess.Popen[bytes]", message: Path) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert head.poll() is None, message.read_text()
        records = re.search(r"--address='([^']+)'", message.read_text())
        if records:
            return records[1]
        time.sleep(0.1)
    raise AssertionError(message.read_text())


@pytest.fixture(scope="module")
def folder(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The folder of a run of two blocks on the cluster."""
    root = tmp_path_factory.mktemp("cluster")
    suite = write_suite(root / "tiny.toml", TINY)
    words = ("run", suite, "--out", root / "run", "--address", cluster.address)
    result = bench(*words, env=cluster.variables)
    assert result.returncode == 0, result.stderr
    return RunFolder.open(root / "run")


@pytest.fixture
def single(tmp_path: Path) -> Path:
    return write_suite(tmp_path / "single.toml", SINGLE)


def of_block(folder: RunFolder, block: int) -> list[TrialRecord]:
    """Return a block's records in the order in which they ran."""
    records = (record for record in folder.records() if record.trial.block == block)
    return sorted(records, key=lambda record: record.trial.order)


def gpus(records: list[TrialRecord]) -> set[str]:
    return {record.resolved["visible_gpus"] for record in records}


def windows(records: list[TrialRecord]) -> list[tuple[float, float]]:
    """Return the start and the end of each window of steps, on the node's clock."""
    epochs = [epoch for record in records for epoch in record.epochs]
    starts = (zip(e.window_start_s or (), e.window_s, strict=True) for e in epochs)
    return sorted((start, start + s) for epoch in starts for start, s in epoch)


def test_every_trial_completes_and_two_run_at_a_time(folder: RunFolder) -> None:
    assert [record.status for record in folder.records()] == ["completed"] * 4
    assert folder.info().invocations[0].lanes == 2


def test_gpus_that_are_only_counted_leave_the_defaults_of_a_cpu(folder: RunFolder) -> None:
    assert folder.info().defaults_for == "cpu"


def test_a_block_stays_on_one_gpu_and_no_gpu_is_shared(folder: RunFolder) -> None:
    first, second = (gpus(of_block(folder, block)) for block in (0, 1))
    assert len(first) == len(second) == 1
    assert first | second == {"0", "1"}


def test_blocks_run_at_once_and_a_block_s_trials_take_turns(folder: RunFolder) -> None:
    blocks = [windows(of_block(folder, block)) for block in (0, 1)]
    for block in blocks:
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(block))
    began, ended = zip(*((block[0][0], block[-1][1]) for block in blocks), strict=True)
    assert max(began) < min(ended)


def test_each_gpu_s_trials_have_half_of_the_cores(folder: RunFolder) -> None:
    assert {record.resolved["intra_op_threads"] for record in folder.records()} == {2}


def test_the_environment_of_the_cluster_s_node_is_recorded(folder: RunFolder) -> None:
    assert os.uname().nodename in folder.info().invocations[0].environment


def test_no_process_of_the_run_stays_on_the_cluster(folder: RunFolder) -> None:
    pids = {record.resolved["pid"] for record in folder.records()}
    processes = [process for process in psutil.process_iter() if process.pid in pids]
    # The driver has stopped them, but a busy machine takes time.
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert (len(pids), alive) == (4, [])


def test_a_trial_on_the_cpu_of_a_node_with_gpus_sees_none(
    cluster: Cluster, single: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = ("run", single, "--out", out, "--address", cluster.address, "--device", "cpu")
    result = bench(*words, env=cluster.variables)
    assert result.returncode == 0, result.stderr
    (record,) = RunFolder.open(out).records()
    assert record.resolved["visible_gpus"] == "-1"
    assert record.devices == ("CPU:0",)


def test_too_many_gpus_are_refused(cluster: Cluster, single: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ("run", single, "--out", out, "--address", cluster.address)
    too_many = ("--set", "strategy=mirrored", "--set", "replicas=3")
    result = bench(*words, *too_many, env=cluster.variables)
    assert (result.returncode, result.stdout) == (2, "")
    last = result.stderr.splitlines()[-1]
    assert last.startswith("bench: ")
    assert last.endswith("lower replicas or workers")
    assert not out.exists()


@pytest.mark.parametrize(
    "environment",
    [{}, {"RAY_AUTH_MODE": "token"}, {"RAY_AUTH_TOKEN": "ab" * 32}],
    ids=["none", "none to send", "another"],
)
def test_a_missing_token_is_requested(
    cluster: Cluster, single: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    words = ("run", single, "--out", tmp_path / "run", "--address", cluster.address)
    result = bench(*words, env={"HOME": str(tmp_path), **environment})
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"bench: the Ray cluster at {cluster.address} requires a token that this user "
        "does not have: copy ~/.ray/auth_token from its head, and set RAY_AUTH_MODE=token\n"
    )


def test_a_killed_driver_leaves_nothing_on_the_cluster_and_the_run_can_be_resumed(
    cluster: Cluster, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    suite = write_suite(tmp_path / "arms.toml", SHORT_AND_LONG)
    words = ("run", suite, "--out", out, "--address", cluster.address)
    with started(*words, env=cluster.variables) as run:
        run.wait_for("[1/2]")
        worker = run.wait_for_training(cluster.pid)
        in_use = cluster.ask("taken", "0")
        run.process.kill()
        run.process.wait()
    assert in_use["groups"] == ["CREATED"]
    assert in_use["actors"] == ["ALIVE"]
    assert {"CPU", "GPU", "object_store_memory"} <= set(in_use["resources"])
    assert psutil.wait_procs([worker], timeout=30)[1] == []
    assert cluster.ask("taken", "30") == {}
    assert [record.status for record in RunFolder.open(out).records()] == ["completed"]

    result = bench(*words, "--resume", env=cluster.variables)
    assert result.returncode == 0, result.stderr
    records = RunFolder.open(out).records(all_attempts=True)
    assert sorted((r.status, r.invocation) for r in records) == [("completed", 0), ("completed", 1)]


def test_a_cluster_with_another_python_is_refused_and_both_versions_are_named(
    cluster: Cluster, single: Path, tmp_path: Path
) -> None:
    version = cluster.ask("pretend", "3.12.99")
    try:
        words = ("run", single, "--out", tmp_path / "run", "--address", cluster.address)
        result = bench(*words, env=cluster.variables)
    finally:
        cluster.ask("pretend", version)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"bench: cannot join the Ray cluster at {cluster.address}: "
        f"Python is {platform.python_version()} here and 3.12.99 there: "
        "install the same version on both\n"
    )
    assert not (tmp_path / "run").exists()
