"""Keep a core busy beside a measurement.

Usage:
    with busy_process():
        ...                                   # another process computes
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

_BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(100_000))"
"""Computes until its parent has ended."""


@contextlib.contextmanager
def busy_process() -> Iterator[None]:
    """Let another process use a core in the block."""
    process = subprocess.Popen([sys.executable, "-c", _BUSY])
    try:
        yield
    finally:
        process.kill()
        process.wait()
