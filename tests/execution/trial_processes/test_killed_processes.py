"""Whichever process of a trial is killed, at whatever stage, no process is left."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from tests.support.paths import ROOT
from tests.support.processes import wait_until_gone

PATIENCE_S = 60.0
STAGES = ["loading", "training", "between"]
Hold = Callable[[str], "subprocess.Popen[str]"]


class Importing(NamedTuple):
    holder: "subprocess.Popen[str]"
    preloader: psutil.Process


@pytest.fixture
def hold() -> Iterator[Hold]:
    """A function that starts a holder of a trial process at a stage."""
    holders: list[subprocess.Popen[str]] = []

    def begin(stage: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.support.trial_holder", stage]
        holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        holders.append(holder)
        return holder

    yield begin
    for holder in holders:
        holder.kill()
        holder.communicate()


def next_line(holder: "subprocess.Popen[str]") -> Any:
    assert holder.stdout is not None
    return json.loads(holder.stdout.readline())


@pytest.fixture
def importing(hold: Hold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Importing:
    """A holder and its preloader, which imports without end."""
    file = tmp_path / "pid"
    monkeypatch.setenv("IMPORTING", str(file))
    holder, deadline = hold("importing"), time.monotonic() + PATIENCE_S
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return Importing(holder, psutil.Process(int(file.read_text())))


def test_a_preloader_that_imports_ends_with_its_killed_driver(importing: Importing) -> None:
    importing.holder.kill()
    wait_until_gone([importing.preloader])


def test_a_preloader_killed_while_it_imports_is_an_error_by_name(importing: Importing) -> None:
    importing.preloader.kill()
    error = next_line(importing.holder)
    assert error.startswith("the process that imports tests.support.endless_import, ")
    assert error.endswith(" was killed by SIGKILL")


@pytest.mark.parametrize("stage", STAGES)
def test_all_end_with_a_killed_driver(hold: Hold, stage: str) -> None:
    holder = hold(stage)
    processes = [psutil.Process(pid) for pid in next_line(holder)]
    holder.kill()
    wait_until_gone(processes)


@pytest.mark.parametrize("stage", STAGES)
def test_a_process_ends_with_its_killed_preloader(hold: Hold, stage: str) -> None:
    holder = hold(stage)
    preloader, process = (psutil.Process(pid) for pid in next_line(holder))
    preloader.kill()
    assert next_line(holder) == [-signal.SIGKILL, -signal.SIGKILL]
    assert holder.wait(PATIENCE_S) == 0
    wait_until_gone([preloader, process])


@pytest.mark.parametrize(
    ("stage", "number"),
    [*((stage, signal.SIGKILL) for stage in STAGES), ("training", signal.SIGTERM)],
)
def test_a_killed_process_is_reported_with_its_signal(
    hold: Hold, stage: str, number: signal.Signals
) -> None:
    holder = hold(stage)
    preloader, process = (psutil.Process(pid) for pid in next_line(holder))
    process.send_signal(number)
    assert next_line(holder) == [-number, None]
    assert holder.wait(PATIENCE_S) == 0
    wait_until_gone([preloader, process])


def test_a_stopped_process_ends_with_its_driver(hold: Hold) -> None:
    holder = hold("training")
    processes = [psutil.Process(pid) for pid in next_line(holder)]
    processes[1].suspend()
    holder.kill()
    wait_until_gone(processes)
