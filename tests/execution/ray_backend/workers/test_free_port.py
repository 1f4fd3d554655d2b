"""Ports for a worker's peers: free, and out of the way of those that the system hands out."""

import socket
from pathlib import Path

import pytest

from bench.execution.ray_backend.workers import free_port
from bench.execution.ray_backend.workers.free_port import bind_to_free_port


@pytest.fixture
def handed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the system says which ports it hands out."""
    file = tmp_path / "ip_local_port_range"
    monkeypatch.setattr(free_port, "_EPHEMERAL_PORTS", file)
    return file


def bound() -> int:
    with socket.socket() as taker:
        return bind_to_free_port(taker)


def test_a_port_is_below_the_ephemeral_range(handed_out: Path) -> None:
    handed_out.write_text("20010\t60999\n")
    assert {bound() for _ in range(50)} <= set(range(20_000, 20_010))


def test_a_port_that_somebody_listens_on_is_passed_over(handed_out: Path) -> None:
    handed_out.write_text("20002\t60999\n")
    with socket.socket() as other:
        other.bind(("", 20_000))
        other.listen()
        assert {bound() for _ in range(20)} == {20_001}


@pytest.mark.parametrize("said", ["1024\t65535\n", "", "all of them\n", None])
def test_without_ports_below_the_ephemeral_range_any_free_one_is_used(
    handed_out: Path, said: str | None
) -> None:
    if said is not None:
        handed_out.write_text(said)
    assert bound() > 0
