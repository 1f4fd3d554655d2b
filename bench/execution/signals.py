"""Defer Ctrl-C while an interrupt would lose data.

Usage:
    with defer_signals() as signals:
        folder.write(record)
    if signals: ...                 # end in good order now

    with block_signals():
        subprocess.Popen(...)       # gets no signal that is sent to the whole job
"""

import contextlib
import signal
import threading
from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def defer_signals() -> Iterator[list[int]]:
    """Collect the signals that would raise KeyboardInterrupt; the caller acts on them.

    Python raises it only in the main thread: in other threads there is nothing to defer.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    raising = [s for s in _SIGNALS if signal.getsignal(s) is signal.default_int_handler]
    for number in raising:
        signal.signal(number, lambda number, _frame: received.append(number))
    try:
        yield received
    finally:
        for number in raising:
            signal.signal(number, signal.default_int_handler)


@contextlib.contextmanager
def block_signals() -> Iterator[None]:
    """Block the same signals in this thread; handle those that arrive afterwards.

    Processes started meanwhile inherit the block and keep it. A signal to a job goes to all of its
    processes: with the block, the process that started them can end them in good order.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
