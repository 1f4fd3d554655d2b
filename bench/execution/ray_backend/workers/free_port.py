"""Find a free port for a worker's peers.

The kernel also assigns ports of its ephemeral range to outgoing connections of other programs.
Ports below that range are used only by programs that request them by number.
"""

import random
import socket
from pathlib import Path

_EPHEMERAL_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST_PORT = 20_000
"""Ray assigns its workers ports from 10002 to 19999."""
_TRIES = 100
_random = random.SystemRandom()


def bind_to_free_port(unbound: socket.socket) -> int:
    """Bind a socket to all addresses on a port where nobody listens; return the port's number."""
    ports = range(_FIRST_PORT, _first_ephemeral_port())
    for port in [*_random.sample(ports, min(_TRIES, len(ports))), 0]:
        try:
            unbound.bind(("", port))
        except OSError:
            if port == 0:
                raise
        else:
            break
    return int(unbound.getsockname()[1])


def _first_ephemeral_port() -> int:
    try:
        return int(_EPHEMERAL_PORTS.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _FIRST_PORT
