"""A local Ray kept to the loopback interface: it listens on all addresses of a machine otherwise.

Usage:
    with loopback_only():
        ray.init("local", ...)

Ray has a switch for that (RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0), which it reads as it is imported;
an address of 127.0.0.1 in ``ray.init`` it replaces by one that others can reach.
"""

import contextlib
from collections.abc import Iterator

from ray._private import ray_constants


@contextlib.contextmanager
def loopback_only() -> Iterator[None]:
    """What is started inside listens on 127.0.0.1."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
