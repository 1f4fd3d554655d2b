"""A port for a worker's peers to find it at.

A port that the system hands out ("any free one") is handed to others as well, for calls that go
out. The ports below that range are taken by nobody who does not mean to.
"""

import random
import socket
from pathlib import Path

_HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ABOVE_RAYS = 20_000
"""Ray gives its own workers ports from 10002 to 19999."""
_TRIES = 100
_choose = random.SystemRandom()


def bind_to_free_port(unbound: socket.socket) -> int:
    """Bind a socket to all addresses, on a port that nobody listens on; the port's number."""
    ports = range(_ABOVE_RAYS, _first_handed_out())
    for port in [*_choose.sample(ports, min(_TRIES, len(ports))), 0]:
        try:
            unbound.bind(("", port))
        except OSError:
            if port == 0:
                raise
        else:
            break
    return int(unbound.getsockname()[1])


def _first_handed_out() -> int:
    try:
        return int(_HANDED_OUT.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _ABOVE_RAYS
