"""The command as a user's shell starts it, and the processes that it starts in turn.

Usage:
    done = bench("plan", "quick")                    # until it ends
    with started("run", suite, "--out", out) as run: # and something done to it meanwhile
        run.wait_for("[1/4]")
        run.interrupt()
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

COMMAND = str(Path(sys.executable).with_name("bench"))
PATIENCE_S = 180.0
"""Beyond this something hangs, however busy the machine is."""


def bench(
    *words: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    patience_s: float = PATIENCE_S,
) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end; stdout and stderr are no terminals."""
    return subprocess.run(
        [COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        timeout=patience_s,
        check=False,
    )


class Running:
    """A command that runs in a session of its own, its stderr in a file."""

    def __init__(self, words: tuple[str, ...], log: IO[str], env: Mapping[str, str]) -> None:
        self._log = Path(log.name)
        self.process = subprocess.Popen(
            [COMMAND, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            env={**os.environ, **env},
        )

    @property
    def stderr(self) -> str:
        """What it has said so far."""
        return self._log.read_text()

    def wait_for(self, words: str) -> None:
        """Wait until it has said ``words``."""
        self._until(lambda: words in self.stderr, f"said {words!r}")

    def wait_for_training(self, ray_pid: int | None = None) -> psutil.Process:
        """Wait until a process trains, its own or one that the Ray of ``ray_pid`` has started."""
        found: list[psutil.Process] = []

        def trains() -> bool:
            found[:] = workers_below(ray_pid or self.process.pid)
            return bool(found)

        self._until(trains, "trained anything")
        return found[0]

    def interrupt(self) -> int:
        """What Ctrl-C does on a terminal: SIGINT to all of its process group; the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(PATIENCE_S)

    def _until(self, happened: Callable[[], bool], what: str) -> None:
        ends = time.monotonic() + PATIENCE_S
        while not happened():
            assert self.process.poll() is None, f"it ended: {self.stderr}"
            assert time.monotonic() < ends, f"it has not {what}: {self.stderr}"
            time.sleep(0.05)


@contextlib.contextmanager
def started(*words: str | Path, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """The command, running; whatever is left of its session is killed in the end."""
    with tempfile.NamedTemporaryFile("w", prefix="bench-test-") as log:
        running = Running(tuple(map(str, words)), log, env or {})
        try:
            yield running
        finally:
            for process in session_of(running.process.pid):
                with contextlib.suppress(psutil.Error):
                    process.kill()
            running.process.wait()


def workers_below(pid: int) -> list[psutil.Process]:
    """The processes that train, of those that ``pid`` has started, directly or not."""
    found = []
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if process.name() == "bench-trial":
                    found.append(process)
    return found


def session_of(pid: int) -> list[psutil.Process]:
    """Every process that lives in the session that ``pid`` has begun."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(process.pid) == pid:
                found.append(process)
    return found


def wait_until_gone(processes: Sequence[psutil.Process]) -> None:
    """Wait until all are gone or only to be reaped; a later process of the same pid is another."""
    _, left = psutil.wait_procs(processes, PATIENCE_S)
    assert not [p for p in left if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def survivors_after(seconds: float, pid: int, *but: str) -> list[str]:
    """Commands of the session of ``pid`` that still live after so long, ``but`` some."""
    ends = time.monotonic() + seconds
    while True:
        left = []
        for process in session_of(pid):
            with contextlib.suppress(psutil.Error):
                words = " ".join(process.cmdline())
                if process.status() != psutil.STATUS_ZOMBIE and not words.startswith(but):
                    left.append(words)
        if not left or time.monotonic() > ends:
            return left
        time.sleep(0.1)
