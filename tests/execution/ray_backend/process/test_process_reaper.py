"""A process that is killed takes along what it has marked, and then Ray's folder."""

import subprocess
import sys
import time
import uuid
from pathlib import Path

from bench.execution.ray_backend.local.private_ray_files import make_ray_folder
from bench.measure.marked_processes import marked_processes
from tests.support.processes import PATIENCE_S

DRIVER = """
import os, subprocess, sys, time
from pathlib import Path
from bench.execution.ray_backend.process.process_reaper import reaper
from bench.measure.marked_processes import inherited_mark

with reaper(sys.argv[1], Path(sys.argv[2])):
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    environment = {**os.environ, **inherited_mark(sys.argv[1])}
    subprocess.Popen(sleeper, env=environment, start_new_session=True)
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_killed_process_takes_along_what_it_has_marked_and_ray_s_folder(tmp_path: Path) -> None:
    mark, folder = uuid.uuid4().hex, make_ray_folder(tmp_path)
    (folder / "ray").mkdir()
    (folder / "ray" / "log").touch()
    command = [sys.executable, "-c", DRIVER, mark, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout
        assert driver.stdout.readline() == "ready\n"
        assert len(marked_processes(mark)) == 1
        driver.kill()
    ends = time.monotonic() + PATIENCE_S
    while (marked_processes(mark) or folder.exists()) and time.monotonic() < ends:
        time.sleep(0.05)
    assert marked_processes(mark) == []
    assert not folder.exists()
