"""Import modules, and find out whether the process may be forked afterwards.

Usage:
    reason = import_modules(["bench.training.trial"])     # None: children may be forked

A child has only the thread that called fork(2). It deadlocks where it needs another one, and CUDA
does not work in the child of a process that has used it.
"""

import contextlib
import importlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_FORK_SAFE_THREADS = frozenset({"jemalloc_bg_thd"})
"""Threads whose library starts them again in a child (jemalloc: ``pthread_atfork``)."""
_DEVICE_FILES = ("/dev/nvidia", "/dev/dxg", "/dev/kfd")


def import_modules(names: Sequence[str]) -> str | None:
    """Import the modules; return why the process must not be forked, or None."""
    # NumPy's OpenBLAS starts a thread for each core, and handles forks itself.
    with contextlib.suppress(ImportError):
        importlib.import_module("numpy")
    before = _thread_names()
    for name in names:
        importlib.import_module(name)
    return why_not_fork(before)


def why_not_fork(threads_before: Counter[str]) -> str | None:
    """Return what in this process a child would lack; ``threads_before`` are safe to lack."""
    if devices := _open_devices():
        return f"the import opened {devices[0]}"
    context = sys.modules.get("tensorflow.python.eager.context")
    # The context object exists only once something has asked for it.
    if context is not None and getattr(getattr(context, "_context", None), "_initialized", False):
        return "the import initialized TensorFlow's devices"
    new = _thread_names() - threads_before
    unknown = sorted(new.keys() - _FORK_SAFE_THREADS)
    return f"the import started threads: {', '.join(unknown)}" if unknown else None


def _thread_names() -> Counter[str]:
    names: Counter[str] = Counter()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            names[(task / "comm").read_text().strip()] += 1
    return names


def _open_devices() -> list[str]:
    """Return the files of accelerators that this process has open."""
    targets = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            targets.append(str(link.readlink()))
    return [target for target in targets if target.startswith(_DEVICE_FILES)]
