"""Ray's private parts are still there, and do what this package uses them for."""

import ast
import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray

from bench.execution.ray_backend.ray_executor import RayExecutor
from tests.support.paths import ROOT

TWO_SHUTDOWNS = """
import pathlib
import ray
from bench.execution.ray_backend.ray_compat import shutdown_safely

def answering_threads():
    # The core worker's own thread, and those that it has begun, which inherit its name.
    threads = pathlib.Path("/proc/self/task").iterdir()
    names = [thread.joinpath("comm").read_text().strip() for thread in threads]
    return names.count("worker.io") - 1

def shutdown(original=ray.shutdown):
    print("answering threads at shutdown:", answering_threads())
    original()

ray.shutdown = shutdown

@ray.remote(num_cpus=0)
def fetch(references):
    return ray.get(references[0])

for first in (True, False):
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    assert ray.get(fetch.remote([ray.put("an object of the driver")]))
    if first:  # another thread starts the second one, and gives it its own name
        print("answering threads:", answering_threads())
    shutdown_safely()
"""

PRIVATE = re.compile(r"^ray\.(\w+\.)*_(?!_)")
STOPPED = ("log_monitor.py", "autoscaler/_private/monitor.py", "dashboard/dashboard.py")


def test_every_private_part_of_ray_exists_in_this_version() -> None:
    advice = f"Ray {ray.__version__}: adapt bench/execution/ray_backend/ray_compat.py: "
    try:
        from ray._private.node import Node

        from bench.execution.ray_backend import ray_compat
    except ImportError as error:
        pytest.fail(f"{advice}{error}")
    owners = [
        *((Node, name) for name in ray_compat.MONITORS),
        (ray_compat.worker, "_global_node"),
        (ray_compat.worker, "shutdown"),
        (ray_compat.worker.global_worker, "mode"),
        (ray_compat.worker.global_worker, "original_visible_accelerator_ids"),
        (ray_compat.ray_constants, "ENABLE_RAY_CLUSTER"),
        (ray_compat.Config, "initialize"),
        (ray_compat.AuthenticationTokenLoader.instance(), "reset_cache"),
    ]
    missing = [f"{owner}.{name}" for owner, name in owners if not hasattr(owner, name)]
    library = ctypes.CDLL(ray._raylet.__file__)
    symbols = (ray_compat.DRAIN_CALLS, ray_compat.RESET_CALLS)
    missing += [symbol for symbol in symbols if not hasattr(library, symbol)]
    assert not missing, f"{advice}it lacks {', '.join(missing)}"
    assert ray.__version__.startswith(f"{ray_compat.CHECKED_VERSION}."), (
        f"{advice}it was checked on Ray {ray_compat.CHECKED_VERSION}; raise CHECKED_VERSION"
    )


def test_no_other_module_uses_a_private_part_of_ray() -> None:
    users = {
        file.name
        for file in (ROOT / "bench").rglob("*.py")
        if any(PRIVATE.search(name) for name in ray_names(file))
    }
    assert users == {"ray_compat.py"}


def ray_names(file: Path) -> Iterator[str]:
    """The dotted names that a file imports, or reads as attributes of the module ``ray``."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)


@pytest.mark.slow
def test_no_thread_answers_while_ray_is_freed_and_ray_can_start_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWO_SHUTDOWNS],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "answering threads: 1",
        *["answering threads at shutdown: 0"] * 2,
    ]


def command_lines_below(pid: int) -> str:
    """The command lines of all descendants of a process."""
    children = psutil.Process(pid).children(recursive=True)
    return "\n".join(" ".join(p.cmdline()) for p in children if p.status() != psutil.STATUS_ZOMBIE)


def test_monitoring_processes_are_stopped_and_the_others_run(ray_executor: RayExecutor) -> None:
    assert ray_executor.parallel_blocks >= 1
    running = command_lines_below(os.getpid())
    assert "gcs_server" in running
    assert "raylet" in running
    assert [name for name in STOPPED if name in running] == []
