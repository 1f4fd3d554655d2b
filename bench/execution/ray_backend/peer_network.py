"""The network over which the workers of one trial reach each other.

Usage:
    opened = open_between(nodes, named_network("10.0.0.0/24"), ask_nodes)
    address = address_for_peers("10.0.0.0/24")       # of this machine

Workers on one machine use its loopback interface. Between machines, TensorFlow's server can be
reached over the network, so that the user has to name the one that may be used.
"""

import contextlib
import ipaddress
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.errors import ResourceError
from bench.execution.executor import Opened
from bench.measure.network_interfaces import addresses_in, interface_of

VARIABLE = "BENCH_NETWORK"
LOOPBACK = "127.0.0.1"

_Node = Mapping[str, Any]
_Ask = Callable[..., dict[str, tuple[str, ...]]]


def named_network(asked: str | None) -> str | None:
    """The network that ``asked``, or else BENCH_NETWORK, names; ResourceError where it is none."""
    text = asked or os.environ.get(VARIABLE)
    if not text:
        return None
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ResourceError(
            f"network {text!r} is not ADDRESS/PREFIX: write it as in 10.0.0.0/24"
        ) from None
    if network.is_loopback or network.is_link_local:
        raise ResourceError(
            f"network {text}: its addresses mean something else on every node: "
            "name one that the nodes share"
        )
    return str(network)


def open_between(nodes: Sequence[_Node], network: str | None, ask: _Ask) -> Opened:
    """What trials open to whom where their workers stand on several of ``nodes``.

    ResourceError where the user has named no network, or a node
    has not exactly one address in it. ``ask`` puts a question to all nodes (``nodes.ask_nodes``).
    """
    if len({node["NodeManagerAddress"] for node in nodes}) < 2:
        return Opened()
    if network is None:
        raise no_network()
    found = ask(nodes, addresses_in, network)
    for node in nodes:
        addresses = found.get(node["NodeID"], ())
        if len(addresses) != 1:
            raise ResourceError(
                f"the node at {node['NodeManagerAddress']} has {len(addresses)} addresses in "
                f"{network}: name a network in which every node has one (--network)"
            )
    return Opened(network, tuple(found[node["NodeID"]][0] for node in nodes))


def no_network() -> ResourceError:
    """The error of workers on several machines for which no network is named."""
    return ResourceError(
        "workers of a trial stand on several nodes, and TensorFlow gives whoever reaches them the "
        f"user's files: name a network of trusted machines (--network 10.0.0.0/24, or {VARIABLE})"
    )


def own_address(network: str) -> str:
    """This machine's only address in ``network``; ResourceError where it has none or several."""
    addresses = addresses_in(network)
    if len(addresses) != 1:
        raise ResourceError(
            f"this node has {len(addresses)} addresses in {network}: name another by --network"
        )
    return addresses[0]


def address_for_peers(network: str | None) -> str | None:
    """``own_address``, or None: a worker whose peers stand on its machine needs none."""
    if network is None:
        return None
    with contextlib.suppress(ResourceError):
        return own_address(network)
    return None


def nccl_variables(address: str) -> dict[str, str]:
    """What has NCCL listen at ``address`` alone, where the user has not chosen its interface."""
    interface = interface_of(address)
    if interface is None or "NCCL_SOCKET_IFNAME" in os.environ:
        return {}
    return {"NCCL_SOCKET_IFNAME": f"={interface}"}
