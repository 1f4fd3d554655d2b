"""A guarded port: who gets through to a server that listens on all addresses of it."""

import os
import socket
from collections.abc import Iterator

import pytest

from bench.errors import ResourceError
from bench.execution.ray_backend.workers import port_guard
from bench.execution.ray_backend.workers.port_guard import PortGuard

CALLERS = ("127.0.0.1", "127.0.0.2", "127.0.1.2", "::1")
_PLACEMENT_CHECK_S = 0.2
"""A connection on this machine is made at once, or the kernel has dropped it."""


@pytest.fixture
def guard() -> Iterator[PortGuard]:
    guard = PortGuard()
    yield guard
    guard.close()


@pytest.fixture
def server(guard: PortGuard) -> Iterator[socket.socket]:
    """One that listens as TensorFlow's does once it shares its port."""
    with listening_as_tensorflow(guard.port) as server:
        yield server


def listening_as_tensorflow(port: int) -> socket.socket:
    server = socket.socket(socket.AF_INET6)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.bind(("", port))
    server.listen()
    return server


def let_through(port: int) -> set[str]:
    return {caller for caller in CALLERS if reaches(caller, port)}


def reaches(caller: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in caller else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(_PLACEMENT_CHECK_S)
        client.bind((caller, 0))
        try:
            client.connect((caller, port))
        except TimeoutError:
            return False
    return True


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("peers", [(), ("127.0.0.2",), ("::1",), CALLERS[:3], CALLERS])
def test_only_peers_can_connect(guard: PortGuard, peers: tuple[str, ...]) -> None:
    guard.admit(peers)
    assert let_through(guard.port) == set(peers)


def test_a_port_is_closed_to_all_before_its_peers_are_known_and_before_its_server_listens(
    guard: PortGuard,
) -> None:
    assert let_through(guard.port) == set()
    guard.admit(CALLERS)
    assert let_through(guard.port) == set()
    with listening_as_tensorflow(guard.port):
        assert let_through(guard.port) == set(CALLERS)


def test_hundreds_of_peers_are_told_from_their_neighbours(
    guard: PortGuard, server: socket.socket
) -> None:
    del server
    guard.admit([f"127.0.1.{last}" for last in range(3, 255)] + ["::1"])
    assert let_through(guard.port) == {"::1"}
    guard.admit([f"127.0.1.{last}" for last in range(2, 255)])
    assert let_through(guard.port) == {"127.0.1.2"}


def test_a_port_belongs_to_one_guard_and_to_nobody_who_does_not_share_it(guard: PortGuard) -> None:
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("", guard.port))


def test_a_process_that_keeps_a_copy_is_guarded_when_the_holder_has_ended() -> None:
    guard = PortGuard()
    guard.admit(["127.0.0.2"])
    copy, port = os.dup(guard.fileno()), guard.port
    with listening_as_tensorflow(port):
        guard.close()
        assert let_through(port) == {"127.0.0.2"}
        os.close(copy)
        assert let_through(port) != {"127.0.0.2"}  # this is what the copy prevents


def test_where_the_kernel_has_no_such_filter_no_port_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(port_guard, "_SO_ATTACH_REUSEPORT_CBPF", 9999)
    with pytest.raises(ResourceError, match="multi_worker"):
        PortGuard()
