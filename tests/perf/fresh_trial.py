"""Start a trial in a process that nothing prepares: it imports TensorFlow and compiles.

Usage:
    python -m tests.perf.fresh_trial REQUEST DESCRIPTOR

REQUEST is a StartTrial as JSON, DESCRIPTOR the inherited shared memory that holds its data. The
process prints a line when it is ready to train its first window, and ends.
"""

import os
import sys
from typing import NoReturn

from bench.protocol.messages import StartTrial, Turn
from bench.protocol.shared_arrays import map_arrays

READY = "ready"


class EndWhenReady:
    """A gate at which the process ends."""

    def enter(self, epoch: int, share: float, windows: int) -> Turn:
        """Say that the trial is ready, and end the process."""
        del epoch, share, windows
        _end()


def _end() -> NoReturn:
    print(READY, flush=True)
    os._exit(0)


def main() -> None:
    """Import what trains, and train until the first window."""
    from bench.training.trial import train

    request = StartTrial.model_validate_json(sys.argv[1])
    descriptor = int(sys.argv[2])
    record = train(
        request.trial,
        lambda: map_arrays(descriptor, request.data),
        request.threads,
        gate=EndWhenReady(),
    )
    raise SystemExit(record.error)


if __name__ == "__main__":
    main()
