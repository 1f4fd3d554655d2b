"""Which devices of this machine a run of this user is on, so that a second one can say so.

Usage:
    with mark_devices(["GPU-1", "GPU-2"]) as warnings: ...

Marks are locks on files (flock), which the kernel gives back however a run ends. They are in the
cache, which several machines may share, so a device's name tells it from those of all others.
None keeps a run from starting.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from bench.files.private_folder import private_folder


@contextlib.contextmanager
def mark_devices(devices: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Mark ``devices`` as in use for the block; a warning for each run that is on any of them."""
    try:
        folder = private_folder("runs")
    except OSError:  # nothing to mark in; what others take of a trial's time is recorded anyhow
        yield ()
        return
    with contextlib.ExitStack() as stack:
        shared: dict[str, list[str]] = {}
        for device in dict.fromkeys(devices):
            file = folder / re.sub(r"[^\w.-]", "-", device)
            if owner := _owner(file, stack):
                shared.setdefault(owner, []).append(device)
        yield tuple(
            f"another run ({owner}) is on {', '.join(names)}: both take time of each other: wait "
            "for it to end, or give each its own devices"
            for owner, names in shared.items()
        )


def _owner(file: Path, stack: contextlib.ExitStack) -> str | None:
    """Who has ``file`` locked; None where this run now has, until ``stack`` ends."""
    lock = FileLock(f"{file}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        with contextlib.suppress(OSError):
            return f"pid {int(file.read_text())}"
        return "pid unknown"
    except OSError:
        return None
    stack.callback(lock.release)
    with contextlib.suppress(OSError):
        file.write_text(str(os.getpid()))
    return None
