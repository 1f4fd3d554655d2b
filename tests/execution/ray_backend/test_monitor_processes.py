"""A Ray of our own is what trials need and no more."""

import os

import psutil

from bench.execution.ray_backend.ray_executor import RayExecutor

ENDED = ("log_monitor.py", "autoscaler/_private/monitor.py", "dashboard/dashboard.py")


def words_below(pid: int) -> str:
    """The command lines of all processes that ``pid`` has started."""
    found = psutil.Process(pid).children(recursive=True)
    return "\n".join(" ".join(p.cmdline()) for p in found if p.status() != psutil.STATUS_ZOMBIE)


def test_what_only_looks_on_is_ended_and_the_rest_runs(ray_executor: RayExecutor) -> None:
    assert ray_executor.lanes >= 1
    running = words_below(os.getpid())
    assert "gcs_server" in running
    assert "raylet" in running
    assert [name for name in ENDED if name in running] == []
