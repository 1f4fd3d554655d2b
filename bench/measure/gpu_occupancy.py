"""Check whether a GPU is free: no other process computes on it, and its memory is at its baseline.

Usage:
    baselines = {uuid: occupancy(uuid).held_bytes}       # at the start of a run
    result = wait_until_free(baselines, timeout_s=60)    # before each trial
    result.busy                                          # {"GPU-...": "other processes ..."}

A card is never empty: a display server, a CUDA service or the driver always holds some memory, on
some cards more than on others. Some drivers list no processes (WSL2, containers, MPS), but they
all count memory.
"""

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.measure.cgroup import read
from bench.measure.gpu import drawing_processes, gpu_processes, memory_bytes, used_memory_bytes
from bench.measure.nvml import nvml_session

IDLE_BYTES = 256 * 2**20
"""By how much an idle card's memory may exceed its baseline."""
BUSY_SHARE = 0.25
"""Part of a card's memory from which memory without a listed process indicates other work.

This applies to memory beyond the baseline; at the start of a run, all memory is the baseline.
"""
_UNSEEN_S = 10.0
"""How long to wait for memory that no listed process holds: a dead process has freed it by then."""
_POLL_S = 0.2
_SERVICE = "nvidia-cuda-mps"
"""CUDA's multi-process service, as the kernel truncates its name: it only computes for others."""


@dataclass(frozen=True)
class Occupancy:
    """The use of a GPU by other processes."""

    computing: tuple[int, ...]
    """Other processes that compute on it; also empty if the driver lists no processes."""
    held_bytes: int | None
    """Memory in use, without that of graphics processes; None if the driver does not report it."""
    memory_bytes: int | None

    def excess_bytes(self, baseline_bytes: int | None) -> int:
        """Return the memory in use beyond a baseline; 0 if either is unknown."""
        if self.held_bytes is None or baseline_bytes is None:
            return 0
        return max(0, self.held_bytes - baseline_bytes)

    def busy(self, baseline_bytes: int | None) -> str | None:
        """Return why another job seems to use the GPU; None if none does."""
        if self.computing:
            return f"other processes compute on it (pids {', '.join(map(str, self.computing))})"
        excess_bytes = self.excess_bytes(baseline_bytes)
        if self._is_much(excess_bytes):
            return f"processes that the driver does not list hold {excess_bytes / 2**20:.0f} MiB"
        return None

    def unreleased_bytes(self, baseline_bytes: int | None) -> int:
        """Return the memory to wait for and to report; 0 if there is none.

        Without a baseline, this is all memory in use if it is more than ``BUSY_SHARE``.
        """
        if baseline_bytes is None:
            return self.held_bytes if self.held_bytes and self._is_much(self.held_bytes) else 0
        excess_bytes = self.excess_bytes(baseline_bytes)
        return excess_bytes if excess_bytes > IDLE_BYTES else 0

    def _is_much(self, count_bytes: int) -> bool:
        return count_bytes > BUSY_SHARE * (self.memory_bytes or math.inf)


@dataclass(frozen=True)
class WaitResult:
    """The state of GPUs at the end of the wait, by UUID."""

    busy: dict[str, str]
    """Why each busy GPU counts as used by another job."""
    held_bytes: dict[str, int]
    """Memory that was not released, of GPUs that can be used."""


def occupancy(uuid: str) -> Occupancy:
    """Return the current use of a card or instance; raises ResourceError if it does not exist."""
    with nvml_session():
        drawing = drawing_processes(uuid) or ()
        used_bytes = used_memory_bytes(uuid)
        drawing_bytes = sum(process.used_bytes or 0 for process in drawing)
        computing = {process.pid for process in gpu_processes(uuid) or ()}
        others = computing - {process.pid for process in drawing} - {os.getpid()}
        return Occupancy(
            computing=tuple(sorted(pid for pid in others if not _is_service(pid))),
            held_bytes=None if used_bytes is None else max(0, used_bytes - drawing_bytes),
            memory_bytes=memory_bytes(uuid),
        )


def wait_until_free(
    baselines_bytes: Mapping[str, int | None],
    timeout_s: float,
    sleep: Callable[[float], None] = time.sleep,
) -> WaitResult:
    """Wait until no other process computes on these GPUs and their memory is released.

    ``baselines_bytes`` is the memory that each held at the start of the run. With None, as at the
    start itself, the wait is only for memory above ``BUSY_SHARE``, and memory never makes a GPU
    busy. Returns the state after ``timeout_s``, or earlier if all that remains is memory that no
    listed process holds. Raises ResourceError if a GPU does not exist.
    """
    start = time.monotonic()
    with nvml_session():
        while True:
            states = {uuid: occupancy(uuid) for uuid in baselines_bytes}
            busy = {u: why for u, o in states.items() if (why := o.busy(baselines_bytes[u]))}
            counts = {u: o.unreleased_bytes(baselines_bytes[u]) for u, o in states.items()}
            held = {u: count for u, count in counts.items() if count and u not in busy}
            limit_s = timeout_s if busy else min(timeout_s, _UNSEEN_S)
            if not (busy or held) or time.monotonic() - start > limit_s:
                return WaitResult(busy, held)
            sleep(_POLL_S)


def _is_service(pid: int) -> bool:
    return (read(Path(f"/proc/{pid}/comm")) or "").startswith(_SERVICE)
