"""A start of Ray that hangs: told of within its time, interruptible, and undone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fault_table import FAULTS
from tests.support.processes import PATIENCE_S, survivors_after
from tests.support.sample_suites import SINGLE, write_suite

HANGS = """
import os, sys, threading, time
import psutil
from bench.cli.entry_point import main
from bench.execution import executor_registry
from bench.execution.ray_backend.local import local_ray

def stop_the_head():
    while True:
        for process in psutil.Process().children():
            if "gcs_server" in " ".join(process.cmdline()[:1]):
                process.suspend()
                os.write(1, b"stopped\\n")  # stdout leads to stderr by now
                return
        time.sleep(0.01)

executor_registry._has_ray = lambda: True  # so that Ray starts in this process
local_ray._START_S, local_ray._GRACE_S = map(float, sys.argv[1:3])
threading.Thread(target=stop_the_head, daemon=True).start()
sys.argv = ["bench", *sys.argv[3:]]
main()
"""


def hanging(start_s: float, suite: Path, out: Path) -> "subprocess.Popen[str]":
    words = [str(start_s), "0.5", "run", str(suite), "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, "-c", HANGS, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_a_start_that_hangs_is_given_up_and_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    suite, out = write_suite(tmp_path / "s.toml", SINGLE), tmp_path / "made" / "run"
    with hanging(5.0, suite, out) as run:
        _, said = run.communicate(timeout=PATIENCE_S)
        assert survivors_after(20, run.pid) == []
    assert run.returncode == FAULTS["start hangs"].code, said
    assert FAULTS["start hangs"].line in said
    assert not out.parent.exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_handled_while_a_start_hangs(tmp_path: Path, number: signal.Signals) -> None:
    suite, out = write_suite(tmp_path / "s.toml", SINGLE), tmp_path / "run"
    with hanging(PATIENCE_S, suite, out) as run:
        assert run.stdout and run.stdout.readline() == "stopped\n"
        os.kill(run.pid, number)
        _, said = run.communicate(timeout=PATIENCE_S / 2)
        assert survivors_after(20, run.pid) == []
    assert run.returncode == 130, said
    assert not out.exists()
