"""The heartbeat of Ray's process, which ends that process where Ray hangs.

Usage:
    heart = threading.Thread(target=beat, args=[executor, connection.send], daemon=True)
    heart.start()

Some calls to Ray wait without end for a head or a raylet that is frozen, and heed no signal
meanwhile. A heartbeat that stays out tells the run that Ray's process is frozen itself.
"""

import os
import time
from collections.abc import Callable
from typing import Protocol

from bench.execution.address import answers, raylet_answers
from bench.execution.ray_messages import Alive

BEAT_S = 5.0
STALLED_S = 30.0
"""How long one look at Ray may take before its head and its raylet are asked to answer."""


class _Looking(Protocol):
    """What looks at Ray: bench.execution.ray_executor.RayExecutor."""

    looked_at: float
    head: str
    raylet: str


def beat(executor: _Looking, send: Callable[[Alive], None]) -> None:
    """Send a heartbeat every ``BEAT_S``; end this process where Ray keeps a look from returning.

    A look that takes long with a Ray that answers may go on: it may load a large data set.
    """
    while True:
        time.sleep(BEAT_S)
        try:
            send(Alive())
        except OSError:  # the run has ended
            return
        stalled = time.monotonic() - executor.looked_at > STALLED_S
        if stalled and not (answers(executor.head) and raylet_answers(executor.raylet)):
            os._exit(1)
