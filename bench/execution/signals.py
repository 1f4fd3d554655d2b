"""Ctrl-C held back where it would cut short what must not be lost.

Usage:
    with defer_signals() as came:
        folder.write(record)
    if came: ...                    # now end, in good order

    with block_signals():
        subprocess.Popen(...)       # does not hear of a signal that goes to the whole job
"""

import contextlib
import signal
import threading
from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def defer_signals() -> Iterator[list[int]]:
    """Collect the signals that would raise KeyboardInterrupt; the caller acts on them.

    Python raises it in the main thread alone: in others there is nothing to hold back.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    raising = [s for s in _SIGNALS if signal.getsignal(s) is signal.default_int_handler]
    for number in raising:
        signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield came
    finally:
        for number in raising:
            signal.signal(number, signal.default_int_handler)


@contextlib.contextmanager
def block_signals() -> Iterator[None]:
    """Block the same signals in this thread; those that come are acted on afterwards.

    Processes started meanwhile inherit the block and keep it. Whoever ends a job sends its signal
    to all of its processes: these leave it to the one that started them to end them in good order.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
