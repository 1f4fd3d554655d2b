"""Questions put to a process of its own."""

import time
from pathlib import Path

import psutil
import pytest

from bench.execution.subprocess_probe import probe_in_subprocess


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that a process of its own can be asked: write its code."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "asked.py"


def _is_gone(pid: int) -> bool:
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_the_reply_is_the_last_line_of_the_output(module: Path) -> None:
    module.write_text("import sys; print('noise'); print('{\"error\": null, \"n\": 1}\\n')")
    with probe_in_subprocess("asked") as answer:
        assert answer() == {"error": None, "n": 1}


def test_the_probe_gets_its_arguments(module: Path) -> None:
    module.write_text("import sys, json; print(json.dumps({'got': sys.argv[1:]}))")
    with probe_in_subprocess("asked", "a", "b c") as answer:
        assert answer() == {"got": ["a", "b c"]}


def test_a_probe_ended_by_a_signal_names_the_signal(module: Path) -> None:
    module.write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    with probe_in_subprocess("asked") as answer:
        assert answer()["signal"] == "SIGILL"


def test_a_failed_probe_reports_its_last_line_of_stderr(module: Path) -> None:
    module.write_text("raise RuntimeError('no luck')")
    with probe_in_subprocess("asked") as answer:
        assert answer() == {"error": "its process exited with code 1: RuntimeError: no luck"}


def test_a_probe_without_json_has_no_reply(module: Path) -> None:
    module.write_text("print('[1, 2]')")
    with probe_in_subprocess("asked") as answer:
        assert answer() == {"error": "its process exited with code 0"}


def test_a_probe_that_takes_too_long_is_ended(module: Path) -> None:
    pid_file = module.with_name("pid")
    module.write_text(
        f"import os, time, pathlib; pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(600)"
    )
    with probe_in_subprocess("asked", timeout_s=1.0) as answer:
        assert answer() == {"error": "no answer within 1 s", "timed_out": True}
    assert _is_gone(int(pid_file.read_text()))


def test_processes_that_a_probe_leaves_behind_are_ended(module: Path) -> None:
    module.write_text(
        "import subprocess, json\n"
        "child = subprocess.Popen(['sleep', '600'], process_group=0)\n"
        "print(json.dumps({'pid': child.pid}), flush=True)\n"
        "import os; os._exit(0)"
    )
    with probe_in_subprocess("asked") as answer:
        pid = answer()["pid"]
        assert psutil.pid_exists(pid)
    assert _is_gone(pid)


def test_an_interrupt_of_the_caller_leaves_no_process(module: Path) -> None:
    pid_file = module.with_name("pid")
    module.write_text(
        f"import os, time, pathlib; pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(600)"
    )
    with pytest.raises(KeyboardInterrupt), probe_in_subprocess("asked"):
        while not (pid_file.exists() and pid_file.read_text()):
            time.sleep(0.02)
        raise KeyboardInterrupt
    assert _is_gone(int(pid_file.read_text()))
