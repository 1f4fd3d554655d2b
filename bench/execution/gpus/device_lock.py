"""Lock the devices that a run uses, so that a second run of this user can warn about it.

Usage:
    with lock_devices(["GPU-1", "GPU-2"]) as warnings: ...

The locks are file locks (flock), which the kernel releases however a run ends. The files are in
the cache, which several machines may share, so device names must be unique across machines.
A lock never prevents a run from starting.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from bench.files.private_folder import private_folder


@contextlib.contextmanager
def lock_devices(devices: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Lock ``devices`` for the block; yield a warning for each run that uses any of them."""
    try:
        folder = private_folder("runs")
    except OSError:  # no folder for locks; each trial still records the load of other processes
        yield ()
        return
    with contextlib.ExitStack() as stack:
        shared: dict[str, list[str]] = {}
        for device in dict.fromkeys(devices):
            file = folder / re.sub(r"[^\w.-]", "-", device)
            if owner := _owner(file, stack):
                shared.setdefault(owner, []).append(device)
        yield tuple(
            f"another run ({owner}) uses {', '.join(names)}, so times will be too long: wait for "
            "it to end, or give each run its own devices"
            for owner, names in shared.items()
        )


def _owner(file: Path, stack: contextlib.ExitStack) -> str | None:
    """Lock ``file`` until ``stack`` ends and return None, or return the process that holds it."""
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
