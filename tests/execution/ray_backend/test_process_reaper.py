"""A process that is killed takes along what it has marked."""

import subprocess
import sys
import time
import uuid

from bench.measure.marked_processes import marked_processes
from tests.support.processes import PATIENCE_S

DRIVER = """
import os, subprocess, sys, time
from bench.execution.ray_backend.process_reaper import reaper
from bench.measure.marked_processes import inherited_mark

with reaper(sys.argv[1]):
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    subprocess.Popen(sleeper, env={**os.environ, **inherited_mark(sys.argv[1])}, start_new_session=True)
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_killed_process_takes_along_what_it_has_marked() -> None:
    mark = uuid.uuid4().hex
    command = [sys.executable, "-c", DRIVER, mark]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout
        assert driver.stdout.readline() == "ready\n"
        assert len(marked_processes(mark)) == 1
        driver.kill()
    ends = time.monotonic() + PATIENCE_S
    while marked_processes(mark) and time.monotonic() < ends:
        time.sleep(0.05)
    assert marked_processes(mark) == []
