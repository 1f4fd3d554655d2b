"""A driver that leaves Ray, in a process of its own."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

TWICE = """
import pathlib
import ray
from bench.execution.ray_backend import ray_shutdown

def answering():
    # The core worker's own thread, and those that it has begun, which inherit its name.
    threads = pathlib.Path("/proc/self/task").iterdir()
    names = [thread.joinpath("comm").read_text().strip() for thread in threads]
    return names.count("worker.io") - 1

def shutdown(really=ray.shutdown):
    print("answering as it ends:", answering())
    really()

ray.shutdown = shutdown

@ray.remote(num_cpus=0)
def fetched(held):
    return ray.get(held[0])

for first in (True, False):
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    assert ray.get(fetched.remote([ray.put("an object of the driver's")]))
    if first:  # the second's thread is begun by another, and has its name
        print("answering:", answering())
    ray_shutdown.leave()
"""


def test_nothing_is_answered_while_ray_is_freed_and_another_may_be_begun() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWICE], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["answering: 1", *["answering as it ends: 0"] * 2]
