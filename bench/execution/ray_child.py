"""The process in which a run's Ray is: it serves one run, and then ends.

Usage:
    python -m bench.execution.ray_child FD       # see bench.execution.ray_process
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

from bench.execution.executor import drive
from bench.execution.interrupt import held_back
from bench.execution.ray_messages import Ended, Ready, Setup, Task
from bench.records.record import TrialRecord
from bench.spec.plan import Trial

if TYPE_CHECKING:
    from bench.execution.ray_executor import RayExecutor


class _Pipe:
    """The pipe to the run's process, on which no message is cut in two or mixed with another."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self.receive = connection.recv

    def send(self, message: object) -> None:
        """Send ``message`` whole; KeyboardInterrupt, where one has come meanwhile, after it."""
        with held_back() as came, self._lock:
            self._connection.send(message)
        if came:
            raise KeyboardInterrupt


def main() -> None:
    """Serve the run at the other end of the pipe that the command line names."""
    # The run's own process hears them, and tells this one by SIGINT. Ray handles what can come.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGHUP))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    pipe = _Pipe(Connection(int(sys.argv[1])))
    # Where nobody is left to be told, this process just ends.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            _serve(pipe)
        except BaseException as error:
            pipe.send(Ended(_picklable(error)))


def _serve(pipe: _Pipe) -> None:
    from bench.execution.heartbeat import beat
    from bench.execution.ray_executor import RayExecutor

    setup: Setup = pipe.receive()
    asked = setup.address, setup.device, setup.modules, setup.network, setup.folder
    with RayExecutor(*asked) as executor:
        try:
            found = executor.lanes, executor.uses_gpus, executor.gpus, executor.environment()
            pipe.send(Ready(*found))
            task: Task = pipe.receive()
            heart = threading.Thread(target=beat, args=[executor, pipe.send], daemon=True)
            heart.start()
            _run(pipe, executor, task)
            ended = Ended()
        except EOFError:
            return
        except BaseException as error:
            ended = Ended(_picklable(error))
        # Before Ray is left, which may take its time.
        pipe.send(ended)


def _run(pipe: _Pipe, executor: "RayExecutor", task: Task) -> None:
    needless = task.limits.needless

    def keep(record: TrialRecord) -> None:
        nonlocal needless
        pipe.send(record)
        needless = pipe.receive()

    def still_needless(trial: Trial) -> str | None:
        return needless(trial)

    limits = dataclasses.replace(task.limits, needless=still_needless)
    drive(executor.run(task.blocks, limits, pipe.send), keep)


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
