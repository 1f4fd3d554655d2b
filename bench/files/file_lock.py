"""Hold a lock on a file; the kernel releases it when its holder ends, however that happens.

Usage:
    with file_lock(folder / ".lock"):
        ...                                # no other process has the lock
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def file_lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of ``path`` (flock(2)) in the block; the file is made if it is missing.

    BlockingIOError if another process has it and this one is not to ``wait``.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)
