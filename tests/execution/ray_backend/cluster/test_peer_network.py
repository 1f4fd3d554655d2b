"""Where the workers of one trial reach each other, and what the user has to name for that."""

from collections.abc import Callable
from typing import Any

import pytest

from bench.doctor.doctor import network_check
from bench.errors import ResourceError
from bench.execution.executor import OpenServer
from bench.execution.ray_backend.cluster.peer_network import (
    VARIABLE,
    address_for_peers,
    named_network,
    nccl_variables,
    open_between,
    own_address,
    peer_addresses,
)

NETWORK = "10.77.0.0/24"
NODES = [{"NodeID": name, "NodeManagerAddress": f"192.0.2.{i}"} for i, name in enumerate("ab", 1)]
ONE_MACHINE = [{**node, "NodeManagerAddress": "192.0.2.1"} for node in NODES]


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv("NCCL_SOCKET_IFNAME", raising=False)


def answers(**addresses: tuple[str, ...]) -> Callable[..., dict[str, tuple[str, ...]]]:
    """What nodes answer when they are asked for their addresses in the network."""

    def ask(nodes: Any, question: Any, network: str) -> dict[str, tuple[str, ...]]:
        del nodes, question
        assert network == NETWORK
        return addresses

    return ask


def test_a_network_is_named_by_the_option_or_else_by_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert named_network(None) is None
    monkeypatch.setenv(VARIABLE, "10.77.0.5/24")
    assert named_network(None) == NETWORK
    assert named_network("fd00::/8") == "fd00::/8"


@pytest.mark.parametrize("said", ["eth0", "10.0.0.0/33", "127.0.0.0/8", "::1", "fe80::/10", "a/b"])
def test_what_is_no_network_between_nodes_is_refused(said: str) -> None:
    with pytest.raises(ResourceError, match="network"):
        named_network(said)


def test_workers_on_several_nodes_need_a_network() -> None:
    with pytest.raises(ResourceError, match="--network"):
        open_between(NODES, None, answers())


def test_nodes_of_one_machine_open_nothing_between_them() -> None:
    assert open_between(ONE_MACHINE, None, answers()) == OpenServer()


def test_what_is_opened_names_each_node_s_only_address() -> None:
    ask = answers(a=("10.77.0.1",), b=("10.77.0.2",))
    assert open_between(NODES, NETWORK, ask) == OpenServer(NETWORK, ("10.77.0.1", "10.77.0.2"))


@pytest.mark.parametrize("other", [(), ("10.77.0.2", "10.77.0.3"), None])
def test_a_node_without_exactly_one_address_in_the_network_is_named(
    other: tuple[str, ...] | None,
) -> None:
    found = {"a": ("10.77.0.1",)} | ({} if other is None else {"b": other})
    with pytest.raises(ResourceError, match=r"192\.0\.2\.2"):
        open_between(NODES, NETWORK, answers(**found))


def test_workers_of_one_machine_use_its_loopback_whatever_is_named() -> None:
    addresses = peer_addresses(["192.0.2.1"] * 2, ["10.77.0.1"] * 2, [20_000, 20_001])
    assert addresses == ["127.0.0.1:20000", "127.0.0.1:20001"]


def test_workers_of_several_use_the_named_network() -> None:
    addresses = peer_addresses(["192.0.2.1", "192.0.2.2"], ["10.77.0.1", "fd00::2"], [20_000] * 2)
    assert addresses == ["10.77.0.1:20000", "[fd00::2]:20000"]


@pytest.mark.parametrize("addresses", [[None, None], ["10.77.0.1", None]])
def test_workers_of_several_without_a_network_do_not_start(addresses: list[str | None]) -> None:
    with pytest.raises(ResourceError, match="--network"):
        peer_addresses(["192.0.2.1", "192.0.2.2"], addresses, [20_000] * 2)


def test_a_machine_has_one_address_of_its_own_or_says_that_it_has_not() -> None:
    assert own_address("127.0.0.1/32") == "127.0.0.1"
    with pytest.raises(ResourceError, match=r"198\.51"):
        own_address("198.51.100.0/24")


def test_a_machine_outside_of_the_named_network_still_runs_trials_of_its_own() -> None:
    assert address_for_peers("127.0.0.1/32") == "127.0.0.1"
    assert address_for_peers("198.51.100.0/24") is None
    assert address_for_peers(None) is None


def test_nccl_listens_where_peers_are_unless_its_user_has_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert nccl_variables("127.0.0.1") == {"NCCL_SOCKET_IFNAME": "=lo"}
    assert nccl_variables("198.51.100.1") == {}
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "ib0")
    assert nccl_variables("127.0.0.1") == {}


def test_the_doctor_says_what_is_open_and_what_a_variable_gets_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert network_check().state == "ok"
    for wrong in ("eth0", "198.51.100.0/24"):
        monkeypatch.setenv(VARIABLE, wrong)
        check = network_check()
        assert (check.state, bool(check.remedy)) == ("broken", True)
