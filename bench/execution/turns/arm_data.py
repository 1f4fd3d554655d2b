"""Bring the data of arms into memory that their processes share.

Usage:
    data = ArmData(key="fashion", load=lambda: arrays)
    with share(data) as shared:
        shared.descriptor, shared.layout

Blocks that run on a node at once share one copy.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from bench.datasets.arrays import Arrays
from bench.errors import ResourceError
from bench.files.bounded_reading import MiB
from bench.files.private_folder import private_folder
from bench.measure.host import available_memory_bytes
from bench.protocol.shared_arrays import SharedArrays


class ArmData(NamedTuple):
    """The data of an arm."""

    key: str
    """Names them: no other data on this node have it."""
    load: Callable[[], Arrays]


class MemoryShortageError(ResourceError):
    """The memory of this node does not hold a copy of the data."""


def share(data: ArmData) -> SharedArrays:
    """Return a copy of ``data``, or that of another block on this node; keep no arrays.

    MemoryShortageError if there is no memory for it.
    """
    arrays = data.load()
    with _one_at_a_time():
        if found := SharedArrays.find(arrays, data.key):
            return found
        need, free = arrays.size_bytes, available_memory_bytes()
        if need > free:
            raise MemoryShortageError(
                f"a copy of the data takes {need / MiB:.0f} MiB of memory, and {free / MiB:.0f} "
                "MiB are free: end other programs, or train on fewer examples"
            )
        return SharedArrays(arrays, data.key)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let blocks that begin at once make one copy; without a cache folder each may make its own."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            handle = os.open(private_folder("data-lock"), os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
