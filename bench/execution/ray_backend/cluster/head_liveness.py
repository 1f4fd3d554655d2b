"""Run a blocking Ray call; give up when the head is unreachable.

Usage:
    call_while_head_alive("10.0.0.1:6379", pool.close)

A batch system that ends a job on several nodes ends the head along with the driver, and a head can
be lost at any time. A call to Ray would then block until Ray itself exits the process, a minute
later and with its own exit code.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

from bench.execution.ray_backend.cluster.head_address import is_alive

_Result = TypeVar("_Result")
_CHECK_S = 1.0


def call_while_head_alive(head: str, call: Callable[[], _Result]) -> _Result:
    """Return the result of ``call``; raise ConnectionError if the head stops answering first.

    The call then remains in a daemon thread, for which the exit of the process does not wait.
    """
    results: list[_Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="calls Ray", daemon=True)
    thread.start()
    thread.join(_CHECK_S)
    while thread.is_alive():
        if not is_alive(head):
            raise ConnectionError(f"Ray's head at {head} does not answer")
        thread.join(_CHECK_S)
    if errors:
        raise errors[0]
    return results[0]
