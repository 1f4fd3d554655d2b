"""Send heartbeats from Ray's process, and end the process if Ray hangs.

Usage:
    watchdog = threading.Thread(target=watch, args=[executor, connection.send], daemon=True)
    watchdog.start()

Some calls to Ray block for ever if a head or a raylet is frozen, and handle no signal meanwhile.
Missing heartbeats show the run that Ray's process itself is frozen.
"""

import os
import time
from collections.abc import Callable
from typing import Protocol

from bench.execution.ray_backend.cluster.head_address import is_alive, raylet_answers
from bench.execution.ray_backend.process.ray_messages import ProcessHeartbeat

BEAT_S = 5.0
STALLED_S = 30.0
"""How long one poll of Ray may take before its head and its raylet are checked."""


class _Polling(Protocol):
    """The part of RayExecutor that the watchdog reads."""

    polled_at: float
    head: str
    raylet: str


def watch(executor: _Polling, send: Callable[[ProcessHeartbeat], None]) -> None:
    """Send a heartbeat every ``BEAT_S``; end this process if Ray blocks a poll and does not answer.

    A long poll may continue if Ray answers: it may load a large data set.
    """
    while True:
        time.sleep(BEAT_S)
        try:
            send(ProcessHeartbeat())
        except OSError:  # the run has ended
            return
        stalled = time.monotonic() - executor.polled_at > STALLED_S
        if stalled and not (is_alive(executor.head) and raylet_answers(executor.raylet)):
            os._exit(1)
