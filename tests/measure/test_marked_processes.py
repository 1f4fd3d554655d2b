"""Processes are found and killed by an inherited mark, in any session."""

import os
import signal
import subprocess
import sys
import time
import uuid

from bench.measure.marked_processes import inherited_mark, kill_marked, marked_processes

FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                         start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_stopped_child_of_a_dead_marked_process_is_killed() -> None:
    mark = uuid.uuid4().hex
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY],
        stdout=subprocess.PIPE,
        env={**os.environ, **inherited_mark(mark)},
    ) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        os.kill(child, signal.SIGSTOP)
        parent.kill()
    assert [process.pid for process in marked_processes(mark)] == [child]
    assert kill_marked(mark, timeout_s=10.0)
    assert marked_processes(mark) == []


def test_a_process_without_the_mark_survives() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as other:
        time.sleep(0.1)
        assert kill_marked(uuid.uuid4().hex, timeout_s=1.0)
        assert other.poll() is None
        other.kill()
