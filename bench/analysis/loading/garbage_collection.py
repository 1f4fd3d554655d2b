"""Pause cyclic garbage collection while millions of plain values are read.

Usage:
    with collector_paused(): ...
"""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Disable cyclic garbage collection: millions of plain values contain no cycles.

    The searches for them would take a fifth more time. Also works as a decorator.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
