"""Two runs of a user on the same devices know of each other."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bench.execution.executor import Event, RunWarning
from bench.execution.gpus.device_lock import lock_devices
from bench.execution.simulated import SimulatedExecutor
from bench.records.run_folder import RunFolder
from tests.support.sample_runs import RecordingObserver, run

HOLD = """
import os
from bench.execution.gpus.device_lock import lock_devices
with lock_devices(["GPU-1", "GPU-2"]) as shared:
    print(len(shared), flush=True)
    input()
    os.abort()
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_second_run_on_a_device_gets_a_warning_with_a_pid_until_the_first_ends() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout and first.stdin
        assert first.stdout.readline() == "0\n"
        with lock_devices(["GPU-0"]) as shared:
            assert shared == ()
        with lock_devices(["GPU-2", "GPU-1", "GPU-0"]) as shared:
            (warning,) = shared
            assert f"pid {first.pid}" in warning
            assert "GPU-1" in warning and "GPU-2" in warning and "GPU-0" not in warning
        first.stdin.write("\n")
        first.stdin.flush()
        assert first.wait() < 0
    with lock_devices(["GPU-1"]) as shared:
        assert shared == ()


def test_a_gpu_is_the_same_in_a_container_with_another_host_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with lock_devices(["GPU-1"]):
        monkeypatch.setattr(socket, "gethostname", lambda: "container")
        with lock_devices(["GPU-1"]) as shared:
            assert len(shared) == 1


def test_a_run_continues_without_a_folder_for_locks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BENCH_CACHE_DIR", "/proc/nowhere")
    with lock_devices(["GPU-0"]) as shared:
        assert shared == ()


class OnCards(SimulatedExecutor):
    """Simulated trials on cards that are named."""

    gpus = ("GPU-7",)


class Allotted(OnCards):
    """The same cards, allotted by a Ray that was there."""

    devices_allotted = True


def test_a_run_whose_devices_ray_assigns_gets_no_warning(out: Path) -> None:
    with lock_devices(["GPU-7"]):
        run(out, executor=Allotted())
    assert RunFolder.open(out).info().invocations[0].warnings == ()


def test_a_run_on_devices_of_another_says_so_goes_on_and_has_it_on_record(out: Path) -> None:
    class Told(RecordingObserver):
        def __init__(self) -> None:
            super().__init__()
            self.warned: list[str] = []

        def event(self, event: Event) -> None:
            if isinstance(event, RunWarning):
                self.warned.append(event.reason)

    alone, second = Told(), Told()
    run(out, executor=OnCards(), observer=alone)
    with lock_devices(["GPU-7"]):
        assert run(out.with_name("second"), executor=OnCards(), observer=second).succeeded
    assert alone.warned == []
    (warning,) = second.warned
    assert f"pid {os.getpid()}" in warning

    (call,) = RunFolder.open(out.with_name("second")).info().invocations
    assert call.warnings == (warning,)
