"""Add up the CPU time that the arms of a block take while they train, and while they wait.

Usage:
    cpu = CpuOfTurns(arms)
    cpu.add(arm.trial.trial_id, turn_s)                   # a turn of the arm has ended
    cpu.training_s, cpu.waiting_s, cpu.waited_s           # by trial id
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from bench.execution.turns.process_arm import ProcessArm


class CpuOfTurns:
    """The CPU seconds of each arm's process, as the kernel counts them."""

    def __init__(self, arms: Sequence[ProcessArm]) -> None:
        self._arms = arms
        self._before: dict[tuple[str, int], float] = {}
        ids = [arm.trial.trial_id for arm in arms]
        self.training_s = dict.fromkeys(ids, 0.0)
        """CPU time in the arm's own turns."""
        self.waiting_s = dict.fromkeys(ids, 0.0)
        """CPU time in the turns of others."""
        self.waited_s = dict.fromkeys(ids, 0.0)
        """How long the turns of others lasted."""

    def add(self, of_turn: str, turn_s: float) -> None:
        """Count the turn of a trial that has just ended; every arm waits now, or has ended.

        The first turn beside a new process of an arm does not count for that arm.
        """
        now = {
            (arm.trial.trial_id, arm.pid): cpu_s(arm.pid)
            for arm in self._arms
            if arm.pid is not None and Path(f"/proc/{arm.pid}").exists()
        }
        for process in self._before.keys() & now.keys():
            trial_id, used_s = process[0], now[process] - self._before[process]
            if trial_id == of_turn:
                self.training_s[trial_id] += used_s
            else:
                self.waiting_s[trial_id] += used_s
                self.waited_s[trial_id] += turn_s
        self._before = now


def cpu_s(pid: int) -> float:
    """Return the CPU time of all threads of a process, to the nanosecond (proc(5), schedstat)."""
    total_ns = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            total_ns += int(thread.read_text().split()[0])
    return total_ns / 1e9
