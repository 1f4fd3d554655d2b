"""Whether a GPU is free: who computes on it, and what it holds beyond its own baseline.

Usage:
    held = {uuid: occupancy(uuid).held_bytes}        # the baseline, as a run starts
    found = wait_until_free(held, timeout_s=60)      # before each trial
    found.busy                                       # {"GPU-...": "other processes ..."}

A card is never empty: the screen, a service of CUDA's or the driver hold some of it, more on one
card than on another. Some drivers list no processes (WSL2, containers, MPS), but count memory.
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
"""Memory by which a card may exceed its baseline with nothing running on it."""
BUSY_SHARE = 0.25
"""Part of a card's memory that, held by no process to be seen, is much.

Beyond the baseline it counts as somebody's work; as a run starts it is the baseline.
"""
_UNSEEN_S = 10.0
"""How long memory is waited for that no listed process holds: a dead one's is freed by then."""
_POLL_S = 0.2
_SERVICE = "nvidia-cuda-mps"
"""CUDA's multi-process service, as the kernel shortens its name: it computes for others only."""


@dataclass(frozen=True)
class Occupancy:
    """What is on a GPU."""

    computing: tuple[int, ...]
    """Other processes that compute on it; none, too, where the driver lists none."""
    held_bytes: int | None
    """Memory in use, without that of processes that draw; None where the driver does not say."""
    memory_bytes: int | None

    def excess_bytes(self, baseline_bytes: int | None) -> int:
        """What it holds beyond a baseline; 0 where either is unknown."""
        if self.held_bytes is None or baseline_bytes is None:
            return 0
        return max(0, self.held_bytes - baseline_bytes)

    def busy(self, baseline_bytes: int | None) -> str | None:
        """Why it counts as somebody else's; None where it does not."""
        if self.computing:
            return f"other processes compute on it (pids {', '.join(map(str, self.computing))})"
        excess_bytes = self.excess_bytes(baseline_bytes)
        if self._is_much(excess_bytes):
            return f"{excess_bytes / 2**20:.0f} MiB are held by processes that cannot be seen"
        return None

    def unreleased_bytes(self, baseline_bytes: int | None) -> int:
        """Memory to wait for and to tell of, 0 where that is none.

        Without a baseline it is all that the GPU holds, if that is much.
        """
        if baseline_bytes is None:
            return self.held_bytes if self.held_bytes and self._is_much(self.held_bytes) else 0
        excess_bytes = self.excess_bytes(baseline_bytes)
        return excess_bytes if excess_bytes > IDLE_BYTES else 0

    def _is_much(self, count_bytes: int) -> bool:
        return count_bytes > BUSY_SHARE * (self.memory_bytes or math.inf)


@dataclass(frozen=True)
class WaitResult:
    """How GPUs were found in the end, by UUID."""

    busy: dict[str, str]
    """Why each of those is somebody else's."""
    held_bytes: dict[str, int]
    """Memory that did not fall, beyond the baseline or without one, of those that may be used."""


def occupancy(uuid: str) -> Occupancy:
    """What is on a card or instance now; ResourceError where there is none of that name."""
    with nvml_session():
        drawing = drawing_processes(uuid) or ()
        used_bytes = used_memory_bytes(uuid)
        shown_bytes = sum(process.used_bytes or 0 for process in drawing)
        computing = {process.pid for process in gpu_processes(uuid) or ()}
        others = computing - {process.pid for process in drawing} - {os.getpid()}
        return Occupancy(
            computing=tuple(sorted(pid for pid in others if not _is_service(pid))),
            held_bytes=None if used_bytes is None else max(0, used_bytes - shown_bytes),
            memory_bytes=memory_bytes(uuid),
        )


def wait_until_free(
    baselines_bytes: Mapping[str, int | None],
    timeout_s: float,
    sleep: Callable[[float], None] = time.sleep,
) -> WaitResult:
    """Wait until nobody else computes on these GPUs and what they held is given back.

    ``baselines_bytes`` is what each held as the run started; where that is None, as at the start
    itself, only much memory is waited for, and none makes a GPU busy. After ``timeout_s``, or
    sooner where only memory is left and no process is seen to hold it, tells how they are. Raises
    ResourceError where there is no such GPU.
    """
    started = time.monotonic()
    with nvml_session():
        while True:
            found = {uuid: occupancy(uuid) for uuid in baselines_bytes}
            busy = {u: why for u, o in found.items() if (why := o.busy(baselines_bytes[u]))}
            lasting = {u: o.unreleased_bytes(baselines_bytes[u]) for u, o in found.items()}
            held = {u: count for u, count in lasting.items() if count and u not in busy}
            limit_s = timeout_s if busy else min(timeout_s, _UNSEEN_S)
            if not (busy or held) or time.monotonic() - started > limit_s:
                return WaitResult(busy, held)
            sleep(_POLL_S)


def _is_service(pid: int) -> bool:
    return (read(Path(f"/proc/{pid}/comm")) or "").startswith(_SERVICE)
