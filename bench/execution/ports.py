"""A port for a worker's peers to find it at.

A port that the system hands out ("any free one") is handed to others as well, for calls that go
out, between the moment when it is chosen here and the moment when TensorFlow listens on it. The
ports below that range are taken by nobody who does not mean to.
"""

import random
import socket
from pathlib import Path

_HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ABOVE_RAYS = 20_000
"""Ray gives its own workers ports from 10002 to 19999."""
_TRIES = 100
_choose = random.SystemRandom()


def free_port() -> int:
    """A port that nobody listens on now; its taker must still be ready to find it taken."""
    ports = range(_ABOVE_RAYS, _first_handed_out())
    for port in _choose.sample(ports, min(_TRIES, len(ports))):
        if _is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _first_handed_out() -> int:
    try:
        return int(_HANDED_OUT.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _ABOVE_RAYS


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
