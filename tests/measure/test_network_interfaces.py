"""Interfaces are looked up by address."""

import pytest

from bench.measure.network_interfaces import addresses_in, interface_of


@pytest.mark.parametrize(
    ("network", "addresses"),
    [
        ("127.0.0.0/8", ("127.0.0.1",)),
        ("198.51.100.0/24", ()),
        ("2001:db8::/32", ()),
    ],
)
def test_addresses_of_this_machine_in_a_network_are_listed(
    network: str, addresses: tuple[str, ...]
) -> None:
    assert addresses_in(network) == addresses


def test_an_interface_is_found_by_its_address() -> None:
    assert interface_of("127.0.0.1") == "lo"
    assert interface_of("198.51.100.1") is None
