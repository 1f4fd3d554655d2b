"""Look up this machine's network interfaces by address.

Usage:
    addresses_in("10.0.0.0/24")          # those of this machine in that network
    interface_of("10.0.0.1")             # "eth0"; None where no interface has the address
"""

import ipaddress
import socket

import psutil

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def addresses_in(network: str) -> tuple[str, ...]:
    """Return this machine's IP addresses in ``network`` (ADDRESS/PREFIX)."""
    subnet = ipaddress.ip_network(network)
    return tuple(a for a in _interfaces() if ipaddress.ip_address(a) in subnet)


def interface_of(address: str) -> str | None:
    """Return the name of the interface that has an IP address, or None."""
    return _interfaces().get(address)


def _interfaces() -> dict[str, str]:
    """Map addresses to interfaces, without link-local addresses (fe80::...%eth0)."""
    return {
        entry.address: name
        for name, entries in psutil.net_if_addrs().items()
        for entry in entries
        if entry.family in _FAMILIES and "%" not in entry.address
    }
