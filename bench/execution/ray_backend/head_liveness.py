"""A call to Ray that a lost head would never answer, waited for while there is a head.

Usage:
    call_while_head_alive("10.0.0.1:6379", fleet.close)

A batch system that ends a job on several nodes ends the head along with the driver, and a head can
be lost at any time. What the driver then asks of Ray would wait until Ray itself exits the process,
a minute later and with a code of its own.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

from bench.execution.ray_backend.head_address import is_alive

_Found = TypeVar("_Found")
_LOOK_S = 1.0


def call_while_head_alive(head: str, call: Callable[[], _Found]) -> _Found:
    """What ``call`` gives; ConnectionError once the head at ``head`` is silent before it ends.

    The call then stays behind in a thread that no exit of the process waits for.
    """
    found: list[_Found] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            found.append(call())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="asks Ray", daemon=True)
    thread.start()
    thread.join(_LOOK_S)
    while thread.is_alive():
        if not is_alive(head):
            raise ConnectionError(f"Ray's head at {head} does not answer")
        thread.join(_LOOK_S)
    if raised:
        raise raised[0]
    return found[0]
