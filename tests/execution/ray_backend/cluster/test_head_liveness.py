"""Calls to Ray are given up where its head is gone, and only there."""

import socket
import threading
from collections.abc import Iterator

import pytest

from bench.execution.ray_backend.cluster import head_liveness
from bench.execution.ray_backend.cluster.head_liveness import call_while_head_alive


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def test_the_result_or_error_of_the_call_is_passed_on(nowhere: str) -> None:
    assert call_while_head_alive(nowhere, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        call_while_head_alive(nowhere, lambda: 1 // 0)


@pytest.mark.slow
def test_a_call_is_given_up_when_the_head_is_lost(nowhere: str) -> None:
    never = threading.Event()
    with pytest.raises(ConnectionError, match="does not answer"):
        call_while_head_alive(nowhere, never.wait)
    never.set()


def test_a_slow_call_continues_while_the_head_answers(
    nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    slow = threading.Event()

    def answers(head: str) -> bool:
        asked.append(head)
        slow.set()
        return True

    monkeypatch.setattr(head_liveness, "is_alive", answers)
    assert call_while_head_alive(nowhere, slow.wait)
    assert asked == [nowhere]
