"""Serve one run from the process in which Ray is loaded, then exit.

Usage:
    python -m bench.execution.ray_backend.process.ray_child FD       # started by `ray_process`
"""

import contextlib
import dataclasses
import pickle
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from bench.execution.executor import drain
from bench.execution.ray_backend.process.ray_messages import (
    ClusterDevices,
    RaySetup,
    RunEnd,
    RunRequest,
)
from bench.execution.signals import defer_signals
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial

if TYPE_CHECKING:
    from bench.execution.ray_backend.ray_executor import RayExecutor


class _Pipe:
    """The pipe to the run's process, which sends each message whole and in order."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self.receive = connection.recv

    def send(self, message: object) -> None:
        """Send ``message`` whole, then raise KeyboardInterrupt if an interrupt came meanwhile."""
        with defer_signals() as signals, self._lock:
            self._connection.send(message)
        if signals:
            raise KeyboardInterrupt


def main() -> None:
    """Serve the run at the other end of the pipe whose descriptor the command line names."""
    # The run's process receives these signals and notifies this one by SIGINT. Ray handles the
    # others.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGHUP))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    pipe = _Pipe(Connection(int(sys.argv[1])))
    # If the run's process has gone, this process just ends.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            _serve(pipe)
        except BaseException as error:
            pipe.send(RunEnd(_picklable(error)))


def _serve(pipe: _Pipe) -> None:
    from bench.execution.ray_backend.process.ray_watchdog import watch
    from bench.execution.ray_backend.ray_executor import RayExecutor

    setup: RaySetup = pipe.receive()
    options = setup.address, setup.device, setup.modules, setup.network, setup.folder
    with RayExecutor(*options) as executor:
        try:
            blocks, environment = executor.parallel_blocks, executor.environment()
            pipe.send(ClusterDevices(blocks, executor.uses_gpus, executor.gpus, environment))
            task: RunRequest = pipe.receive()
            watchdog = threading.Thread(target=watch, args=[executor, pipe.send], daemon=True)
            watchdog.start()
            _run(pipe, executor, task)
            ended = RunEnd()
        except EOFError:
            return
        except BaseException as error:
            ended = RunEnd(_picklable(error))
        # Sent before Ray shuts down, which may take time.
        pipe.send(ended)


def _run(pipe: _Pipe, executor: "RayExecutor", task: RunRequest) -> None:
    newest_reason = task.limits.skip_reason

    def keep(record: TrialRecord) -> None:
        nonlocal newest_reason
        pipe.send(record)
        newest_reason = pipe.receive()

    def skip_reason(trial: Trial) -> str | None:
        return newest_reason(trial)

    limits = dataclasses.replace(task.limits, skip_reason=skip_reason)
    drain(executor.run(task.blocks, limits, pipe.send), keep)


def _picklable(error: BaseException) -> BaseException:
    """Return ``error`` with its traceback as a note, or a RuntimeError if it cannot be pickled."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    main()
