"""Leaving a Ray cluster, or ending one's own, with the process alive afterwards.

Usage:
    ray.init(...)
    ...
    shutdown_safely()                  # in the place of ray.shutdown()

As a driver's part of Ray is freed, it answers whoever still waits for news of its objects, as
every other node that has fetched one does. The answers are sent by a thread of their own, out of
what is being freed: now and then that is a segmentation fault. Ray's workers have that thread
ended first (as ray-project/ray#34656 had its servers do), its drivers do not.
"""

import contextlib
import ctypes
from collections.abc import Iterator

import ray
import ray._raylet

_END = "_ZN3ray3rpc23DrainServerCallExecutorEv"
_BEGIN_ANEW = "_ZN3ray3rpc23ResetServerCallExecutorEv"


def shutdown_safely() -> None:
    """End this process's part of Ray; another may be begun."""
    with _no_answers():
        ray.shutdown()


@contextlib.contextmanager
def _no_answers() -> Iterator[None]:
    library = ctypes.CDLL(ray._raylet.__file__)
    try:
        end, begin_anew = library[_END], library[_BEGIN_ANEW]
    except AttributeError:  # a Ray that goes about it in another way
        yield
        return
    end.restype = begin_anew.restype = None
    end()
    try:
        yield
    finally:
        begin_anew()
