"""A preloader starts processes as its settings say, and an error is raised by name."""

import signal
import sys
import threading
from pathlib import Path

import psutil
import pytest

from bench.errors import HelperError
from bench.execution.trial_processes import trial_process
from bench.execution.trial_processes.preloader_client import PreloaderClient
from bench.protocol.messages import TrialStarted
from tests.support.paths import ROOT
from tests.support.processes import wait_until_gone

CHILD = "tests.support.scripted_child"
PATIENCE_S = 60.0


def test_processes_are_forked_from_one_preloader() -> None:
    with PreloaderClient(modules=("csv",), child=CHILD) as preloader:
        assert (preloader.preloaded.process_start, preloader.preloaded.reason) == ("fork", None)
        first, second = preloader.start(), preloader.start()
        processes = [psutil.Process(pid) for pid in (preloader.pid, first.pid, second.pid)]
        assert {process.ppid() for process in processes[1:]} == {preloader.pid}
        sessions = {process.pid for process in processes}
        assert len(sessions) == 3
    assert not [process for process in processes if process.is_running()]


def test_processes_are_spawned_where_forking_is_unsafe() -> None:
    with PreloaderClient(modules=("tests.support.threaded_import",), child=CHILD) as preloader:
        assert preloader.preloaded.process_start == "spawn"
        assert "threads" in (preloader.preloaded.reason or "")
        process = preloader.start()
        started = process.receive(PATIENCE_S)
        assert isinstance(started, TrialStarted)
        assert (started.pid, started.process_start) == (process.pid, "spawn")
        spawned = psutil.Process(process.pid)
        psutil.Process(preloader.pid).kill()
        spawned.wait(PATIENCE_S)


def test_another_interpreter_runs_with_its_variables_in_its_folder(tmp_path: Path) -> None:
    variables = {"PYTHONPATH": str(ROOT), "ADDED": "1", "PATH": None}
    with PreloaderClient(sys.executable, variables, tmp_path, modules=(), child=CHILD) as preloader:
        process = psutil.Process(preloader.start().pid)
        assert process.cwd() == str(tmp_path)
        environ = psutil.Process(preloader.pid).environ()
        assert environ["ADDED"] == "1"
        assert "PATH" not in environ


@pytest.mark.parametrize(
    ("modules", "child"), [(["bench.no_such_module"], CHILD), ([], "bench.no_such_module")]
)
def test_an_import_that_fails_is_an_error_by_name(modules: list[str], child: str) -> None:
    expected = (
        f"the process that imports {', '.join([*modules, child])} exited with code 1: "
        "ModuleNotFoundError: No module named 'bench.no_such_module'"
    )
    with pytest.raises(HelperError, match=expected):
        PreloaderClient(modules=modules, child=child).__enter__()


def test_a_missing_interpreter_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HelperError, match="cannot be started"):
        PreloaderClient(str(tmp_path / "python")).__enter__()


def test_a_dead_preloader_starts_nothing() -> None:
    with PreloaderClient(modules=(), child=CHILD) as preloader:
        psutil.Process(preloader.pid).kill()
        with pytest.raises(HelperError, match="the preloader was killed by SIGKILL"):
            preloader.start()


def test_a_stopped_preloader_is_killed_with_its_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_process, "PRELOADER_TIMEOUT_S", 0.2)
    with PreloaderClient(modules=(), child=CHILD) as preloader:
        first, second = preloader.start(), preloader.start()
        processes = [psutil.Process(pid) for pid in (preloader.pid, first.pid, second.pid)]
        processes[0].suspend()
        first.kill()
        ended = first.exit(PATIENCE_S)
        assert ended.code == ended.preloader_code == -signal.SIGKILL
        assert second.exit(PATIENCE_S).preloader_code == -signal.SIGKILL
    wait_until_gone(processes)


def test_a_preloader_that_is_only_slow_keeps_its_other_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trial_process, "KILL_TIMEOUT_S", 0.1)
    with PreloaderClient(modules=(), child=CHILD) as preloader:
        first, second = preloader.start(), preloader.start()
        process = psutil.Process(preloader.pid)
        process.suspend()
        resumed = threading.Timer(1.0, process.resume)
        resumed.start()
        first.kill()
        ended = first.exit(PATIENCE_S)
        resumed.join()
        assert (ended.code, ended.preloader_code) == (-signal.SIGKILL, None)
        assert not second.has_ended
