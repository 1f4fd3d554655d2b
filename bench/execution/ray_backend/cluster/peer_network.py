"""Choose the network over which the workers of one trial communicate.

Usage:
    opened = open_between(nodes, named_network("10.0.0.0/24"), ask_nodes)
    address = address_for_peers("10.0.0.0/24")       # of this machine

Workers on one machine use its loopback interface. Between machines, TensorFlow's server is open to
the whole network, so that the user must name the network to use.
"""

import contextlib
import ipaddress
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.errors import ResourceError
from bench.execution.executor import OpenServer
from bench.measure.network_interfaces import addresses_in, interface_of

VARIABLE = "BENCH_NETWORK"
LOOPBACK = "127.0.0.1"

_Node = Mapping[str, Any]
_Ask = Callable[..., dict[str, tuple[str, ...]]]


def named_network(option: str | None) -> str | None:
    """Return the network that ``option``, or else BENCH_NETWORK, names.

    Raises ResourceError if the text is not a network that nodes can share.
    """
    text = option or os.environ.get(VARIABLE)
    if not text:
        return None
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ResourceError(
            f"network {text!r} is not ADDRESS/PREFIX: write, for example, 10.0.0.0/24"
        ) from None
    if network.is_loopback or network.is_link_local:
        raise ResourceError(
            f"network {text} is local to each node: name a network that the nodes share"
        )
    return str(network)


def open_between(nodes: Sequence[_Node], network: str | None, ask: _Ask) -> OpenServer:
    """Return what trials open to the network if their workers run on several of ``nodes``.

    Raises ResourceError if the user has named no network, or if a node does not have exactly one
    address in it. ``ask`` runs a function on all nodes (``cluster_nodes.ask_nodes``).
    """
    if len({node["NodeManagerAddress"] for node in nodes}) < 2:
        return OpenServer()
    if network is None:
        raise no_network()
    addresses_of = ask(nodes, addresses_in, network)
    for node in nodes:
        addresses = addresses_of.get(node["NodeID"], ())
        if len(addresses) != 1:
            raise ResourceError(
                f"the node at {node['NodeManagerAddress']} has {len(addresses)} addresses in "
                f"{network}: name a network in which every node has one (--network)"
            )
    return OpenServer(network, tuple(addresses_of[node["NodeID"]][0] for node in nodes))


def no_network() -> ResourceError:
    """Return the error for workers on several machines without a named network."""
    return ResourceError(
        "workers of a trial run on several nodes, and TensorFlow lets anyone who can connect "
        f"to them read the user's files: name a network of trusted machines "
        f"(--network 10.0.0.0/24, or {VARIABLE})"
    )


def peer_addresses(
    hosts: Sequence[str], addresses: Sequence[str | None], ports: Sequence[int]
) -> list[str]:
    """Return HOST:PORT of each worker, on the loopback interface if all run on one machine.

    ``hosts`` are Ray's addresses of their machines, ``addresses`` those for peers. Raises
    ResourceError if they run on several machines and one has no address for peers.
    """
    if len(set(hosts)) == 1:
        return [f"{LOOPBACK}:{port}" for port in ports]
    if None in addresses:
        raise no_network()
    return [f"{_bracketed(str(a))}:{port}" for a, port in zip(addresses, ports, strict=True)]


def own_address(network: str) -> str:
    """Return this machine's address in ``network``; ResourceError if it has none or several."""
    addresses = addresses_in(network)
    if len(addresses) != 1:
        raise ResourceError(
            f"this node has {len(addresses)} addresses in {network}: name another with --network"
        )
    return addresses[0]


def address_for_peers(network: str | None) -> str | None:
    """Return ``own_address``, or None if there is none: peers on one machine need no address."""
    if network is None:
        return None
    with contextlib.suppress(ResourceError):
        return own_address(network)
    return None


def nccl_variables(address: str) -> dict[str, str]:
    """Return the variable that limits NCCL to ``address``, unless the user has set it."""
    interface = interface_of(address)
    if interface is None or "NCCL_SOCKET_IFNAME" in os.environ:
        return {}
    return {"NCCL_SOCKET_IFNAME": f"={interface}"}


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
