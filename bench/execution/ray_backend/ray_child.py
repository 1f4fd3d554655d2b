"""The process in which a run's Ray is: it serves one run, and then ends.

Usage:
    python -m bench.execution.ray_backend.ray_child FD       # started by `ray_process`
"""

import contextlib
import dataclasses
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from bench.execution.executor import drain
from bench.execution.ray_backend.ray_messages import Ended, Ready, Setup, Task
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial

if TYPE_CHECKING:
    from bench.execution.ray_backend.ray_executor import RayExecutor

_LOOK_S = 10.0
_STALLED_S = 60.0
"""How long one look at Ray may take before its head is asked whether it is still there."""


def main() -> None:
    """Serve the run at the other end of the pipe that the command line names."""
    # The run's own process hears them, and tells this one by SIGINT. Ray handles what can come.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGHUP))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    connection = Connection(int(sys.argv[1]))
    # Where nobody is left to be told, this process just ends.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            _serve(connection)
        except BaseException as error:
            connection.send(Ended(_picklable(error)))


def _serve(connection: Connection) -> None:
    from bench.execution.ray_backend.ray_executor import RayExecutor

    setup: Setup = connection.recv()
    with RayExecutor(setup.address, setup.device, setup.modules, setup.network) as executor:
        try:
            found = executor.lanes, executor.uses_gpus, executor.gpus, executor.environment()
            connection.send(Ready(*found))
            task: Task = connection.recv()
            watch = threading.Thread(target=_end_with_head, args=[executor], daemon=True)
            watch.start()
            _run(connection, executor, task)
            ended = Ended()
        except EOFError:
            return
        except BaseException as error:
            ended = Ended(_picklable(error))
        # Before Ray is left, which may take its time.
        connection.send(ended)


def _run(connection: Connection, executor: "RayExecutor", task: Task) -> None:
    needless = task.limits.skip_reason

    def keep(record: TrialRecord) -> None:
        nonlocal needless
        connection.send(record)
        needless = connection.recv()

    def still_needless(trial: Trial) -> str | None:
        return needless(trial)

    limits = dataclasses.replace(task.limits, skip_reason=still_needless)
    drain(executor.run(task.blocks, limits, connection.send), keep)


def _end_with_head(executor: "RayExecutor") -> None:
    """End this process where a call to Ray does not return and the head is silent.

    Some calls wait for a head without end, and heed no signal meanwhile.
    """
    from bench.execution.ray_backend.head_address import is_alive

    while True:
        time.sleep(_LOOK_S)
        if time.monotonic() - executor.looked_at > _STALLED_S and not is_alive(executor.head):
            os._exit(1)


def _picklable(error: BaseException) -> BaseException:
    """``error`` with its traceback as a note, or what says the same where it cannot travel."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    main()
