"""Addresses at which there is no Ray: refused at once, with what to change."""

import contextlib
import http.server
import socket
import threading
from collections.abc import Iterator

import pytest

from bench.errors import ResourceError
from bench.execution.ray_backend.cluster.head_address import resolve_address


@pytest.fixture
def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def web_port() -> Iterator[int]:
    """A port at which something listens that is not Ray."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield int(server.getsockname()[1])


@pytest.mark.parametrize(
    "address", ["head", "head:", ":6379", "head:port", "head:63.79", "ray://head:10001", ""]
)
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(ResourceError, match=r"is not HOST:PORT: name a Ray head, or use auto"):
        resolve_address(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_an_address_where_nobody_listens_is_refused(host: str, closed_port: int) -> None:
    with pytest.raises(ResourceError, match=r"no Ray answers at .*correct --address"):
        resolve_address(f"{host}:{closed_port}")


@pytest.mark.parametrize("address", ["no-such-host.invalid:6379", "a..b:6379", "127.0.0.1:99999"])
def test_an_impossible_host_or_port_is_refused(address: str) -> None:
    with pytest.raises(ResourceError, match=r"no Ray answers at .*correct --address"):
        resolve_address(address)


def test_a_web_server_is_not_taken_for_ray(web_port: int) -> None:
    with pytest.raises(ResourceError, match=r"Ray.*correct --address"):
        resolve_address(f"127.0.0.1:{web_port}")


@pytest.mark.slow
def test_something_that_never_answers_is_waited_for_a_few_seconds_only(silent_port: int) -> None:
    with pytest.raises(ResourceError, match=r"no Ray answers at .*correct --address"):
        resolve_address(f"127.0.0.1:{silent_port}")


def test_auto_takes_the_address_that_the_environment_names(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{closed_port}")
    with pytest.raises(ResourceError, match=f"no Ray answers at 127.0.0.1:{closed_port}"):
        resolve_address("auto")
