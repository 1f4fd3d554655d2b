"""A run that is killed at any instant can be resumed, and then reported."""

import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.analysis.summary import summarize
from bench.execution.simulated import SimulatedExecutor
from bench.records.trial_record import Status
from bench.spec.plan import Trial
from tests.support.sample_suites import TINY, suite_of

SUITE = suite_of({**TINY, "blocks": 1})
"""Two trials, of which the first is tried twice: a first record, a middle one and a last."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}


class Killed(BaseException):
    """In SIGKILL's place."""


@dataclass
class Disk:
    """Takes ``left`` more changes of the file system, and none after that: as it is when killed."""

    left: float = float("inf")
    armed: bool = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.armed and (event in _CHANGES or (event == "open" and _is_write(arguments))):
            self.left -= 1
            if self.left < 0:
                raise Killed


def _is_write(arguments: tuple[Any, ...]) -> bool:
    _path, mode, flags = arguments
    return bool(set(mode or "") & set("wax+")) or (isinstance(flags, int) and bool(flags & _WRITES))


DISK = Disk()
sys.addaudithook(DISK)  # there is no way to take one away


@pytest.fixture
def disk() -> Iterator[Disk]:
    yield DISK
    DISK.armed = False


class Run:
    """A run at ``path``; its first trial fails when it is first tried."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._failed = False

    def __call__(self) -> None:
        """Begin it, or go on with it."""
        executor = SimulatedExecutor(status_of=self._fate)
        begun = self.path.exists() and any(self.path.iterdir())
        bench.run(SUITE, self.path, resume=begun, executor=executor)

    def killed_after(self, changes: float, disk: Disk) -> bool:
        """Whether it was killed after so many changes of the file system."""
        disk.left, disk.armed = changes, True
        try:
            self()
        except Killed:
            return True
        finally:
            disk.armed = False
        return False

    def _fate(self, trial: Trial, _attempt: int) -> Status:
        if trial.order != 0 or self._failed:
            return "completed"
        self._failed = True
        return "failed"


@pytest.mark.slow
@pytest.mark.parametrize(("times", "every"), [(1, 1), (2, 4)])
def test_killed_at_any_change_it_is_resumed_and_reported(
    tmp_path: Path, disk: Disk, times: int, every: int
) -> None:
    for changes in itertools.count(step=every):
        run = Run(tmp_path / f"{changes}")
        killed = [run.killed_after(changes, disk) for _ in range(times)]
        run()
        run()
        summary = summarize(run.path)
        assert (summary.completed, summary.trials) == (2, 2)
        assert len(bench.load_epochs(run.path)) == 4
        attempts = bench.load_attempts(run.path)
        assert not attempts.duplicated(["trial_id", "attempt"]).any()
        if not any(killed):
            break
    assert changes > 20
