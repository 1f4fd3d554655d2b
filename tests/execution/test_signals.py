"""Signals that wait until what must not be cut short is done."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from bench.execution.signals import block_signals, defer_signals


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def raising(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that raises KeyboardInterrupt, as the command sets it up."""
    before = signal.signal(request.param, signal.default_int_handler)
    yield request.param
    signal.signal(request.param, before)


def test_a_deferred_signal_is_reported_afterwards(raising: signal.Signals) -> None:
    finished = False
    with defer_signals() as came:
        os.kill(os.getpid(), raising)
        finished = True
    assert finished
    assert came == [raising]


def test_a_signal_raises_again_once_no_signal_is_deferred(raising: signal.Signals) -> None:
    with defer_signals() as came:
        pass
    assert came == []
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), raising)


def test_an_error_inside_passes_and_restores_the_signal_handlers() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(OSError, match="full"), defer_signals():
        raise OSError("full")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_with_another_handler_is_not_deferred() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    try:
        with defer_signals() as came:
            os.kill(os.getpid(), signal.SIGTERM)
        assert (came, heard) == ([], [signal.SIGTERM])
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_the_main_thread_no_signal_is_deferred() -> None:
    seen: list[object] = []

    def inside() -> None:
        with defer_signals() as came:
            seen.append(came)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [[]]


def test_a_blocked_signal_is_handled_afterwards(raising: signal.Signals) -> None:
    finished = False

    def go_on() -> None:
        nonlocal finished
        with block_signals():
            # To this thread: a process with others may have one of them hear it at once.
            signal.pthread_kill(threading.get_ident(), raising)
            finished = True

    with pytest.raises(KeyboardInterrupt):
        go_on()
    assert finished


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_process_started_with_blocked_signals_ignores_them_but_can_be_killed(
    number: signal.Signals,
) -> None:
    told = [sys.executable, "-c", "import sys; print(sys.stdin.readline())"]
    with block_signals():
        child = subprocess.Popen(told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child.send_signal(number)
    assert child.communicate("still here")[0].strip() == "still here"
    with block_signals():
        child = subprocess.Popen(told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    for end in (child.stdin, child.stdout):
        assert end is not None
        end.close()


def test_a_process_started_afterwards_receives_signals(raising: signal.Signals) -> None:
    with block_signals():
        pass
    with subprocess.Popen(["sleep", "60"]) as child:
        child.send_signal(raising)
        assert child.wait() == -raising
