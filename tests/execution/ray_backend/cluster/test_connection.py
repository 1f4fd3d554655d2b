"""A program that has a Ray of its own runs trials on it, and keeps it as it was."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import ray.util.client

import bench
from bench.errors import UsageError
from bench.execution.ray_backend.cluster import connection
from bench.execution.ray_backend.ray_executor import RayExecutor
from tests.support.processes import PATIENCE_S
from tests.support.sample_suites import SINGLE, write_suite

CALLER = """
import json, os, sys
import ray
import bench
from bench.errors import UsageError
from bench.execution.ray_backend.ray_executor import RayExecutor
from ray._private.state import actors
from ray.util import placement_group_table

suite, folder = sys.argv[1:]
options = {"resources": {"license": 1}, "include_dashboard": False}
ray.init(num_cpus=2, **options, logging_level="ERROR", log_to_driver=False)

@ray.remote(num_cpus=0)
class Mine:
    def value(self):
        return "kept"

@ray.remote
def inside():
    try:
        bench.run(suite, folder + "/inside")
    except UsageError:
        return "refused"

@ray.remote(num_cpus=0, resources={"license": 1})
def inside_without_cores():
    with RayExecutor() as executor:
        return executor.parallel_blocks

def error_of(**options):
    try:
        bench.run(suite, folder + "/refused", **options)
    except UsageError:
        return True

mine = Mine.remote()
ray.get(mine.value.remote())
before, address = dict(os.environ), ray.get_runtime_context().gcs_address
result = bench.run(suite, folder + "/run")
found = {
    "succeeded": result.succeeded,
    "mine": ray.get(mine.value.remote()),
    "same": ray.get_runtime_context().gcs_address == address,
    "variables": dict(os.environ) == before,
    "joined by its address": bench.run(suite, folder + "/again", address=address).succeeded,
    "actors": [a["ActorClassName"] for a in actors().values() if a["State"] == "ALIVE"],
    "groups": [g["state"] for g in placement_group_table().values() if g["state"] != "REMOVED"],
    "elsewhere": error_of(address="127.0.0.1:1"),
    "inside": ray.get(inside.remote()),
    "inside without cores": ray.get(inside_without_cores.remote()),
    "left": sorted(os.listdir(folder)),
}
print(json.dumps(found))
"""


BUSY = """
import os, socket, subprocess, sys
import ray
from bench.execution.executor import Limits, RunWarning
from bench.execution.ray_backend.ray_executor import RayExecutor

ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
loop = [sys.executable, "-c", "while True: pass"]
busy = [subprocess.Popen(loop) for _ in range(os.cpu_count())]
told = []
try:
    with RayExecutor() as executor:
        list(executor.run([], Limits(60.0, 60.0), told.append))
finally:
    for process in busy:
        process.kill()
warnings = [event.reason for event in told if isinstance(event, RunWarning)]
print(len(warnings), f"node {socket.gethostname()}" in warnings[0])
"""


@pytest.mark.slow
def test_other_load_on_an_existing_ray_is_reported_as_a_run_starts() -> None:
    done = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["1", "True"], done.stderr


@pytest.mark.slow
def test_the_callers_ray_runs_the_trials_and_is_left_as_it_was(tmp_path: Path) -> None:
    suite, folder = write_suite(tmp_path / "suite.toml", SINGLE), tmp_path / "runs"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", CALLER, str(suite), str(folder)],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "succeeded": True,
        "mine": "kept",
        "same": True,
        "variables": True,
        "joined by its address": True,
        "actors": ["Mine"],
        "groups": [],
        "elsewhere": True,
        "inside": "refused",
        "inside without cores": 1,
        "left": ["again", "run"],
    }


def test_a_ray_client_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray.util.client.ray, "is_connected", lambda: True)
    with pytest.raises(UsageError):
        bench.run(write_suite(tmp_path / "suite.toml", SINGLE), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nodes_that_lack_the_package_are_named_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = [{"NodeID": name, "NodeManagerAddress": f"host-{name}"} for name in "abc"]
    context: Any = type("Context", (), {"gcs_address": "head:1"})
    monkeypatch.setattr(ray, "get_runtime_context", context)
    monkeypatch.setattr(connection, "alive_nodes", lambda: nodes)
    monkeypatch.setattr(connection, "ask_nodes", lambda *_: {"a": True, "b": False})
    with pytest.raises(UsageError, match="host-b, host-c"):
        connection._check_callers(None)


@pytest.fixture
def no_ray() -> Iterator[None]:
    """The variables of this process, put back."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("no_ray")
def test_a_start_that_is_refused_changes_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_TMPDIR", "/proc/nowhere")
    before = dict(os.environ)
    with pytest.raises(UsageError, match="RAY_TMPDIR"), RayExecutor():
        pass
    assert dict(os.environ) == before
