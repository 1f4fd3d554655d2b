"""Start a process that may die, hang or be frozen; exchange messages with it, and kill it.

Usage:
    with child_process(module_command(name), mark) as child:     # the descriptor follows
        child.send(message)                 # NoAnswerError if it has ended
        message = child.receive(60.0)       # NoAnswerError if none comes
    kill_marked_processes(mark)             # what it has started and left
"""

import contextlib
import os
import queue
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

from bench.execution.signals import defer_signals
from bench.measure.marked_processes import inherited_mark, kill_marked
from bench.process_exit import signal_name

_SEND_S = 60
"""How long the process may take to read a message."""
_KILL_S = 10.0


class NoAnswerError(Exception):
    """The process no longer answers; the message says why."""


class ChildProcess:
    """A running process, and the pipe to it."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", run_socket: socket.socket, connection: Connection
    ) -> None:
        self.process = process
        self._run_socket, self._connection = run_socket, connection
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        """What it has sent; None once it has ended."""

    def read(self) -> None:
        """Queue its messages. This runs in a thread: an interrupt would cut a message in two."""
        try:
            # The pipe has ended, or a message cannot be read.
            with contextlib.suppress(Exception):
                while True:
                    self._messages.put(self._connection.recv())
        finally:
            self._messages.put(None)

    def send(self, message: object) -> None:
        """Send a message; NoAnswerError if the process has ended."""
        try:
            self._connection.send(message)
        except OSError:
            raise NoAnswerError(self._exit_reason()) from None

    def receive(self, timeout_s: float, waits: int = 1) -> Any:
        """Return the next message; wait ``waits`` times, ``timeout_s`` each time.

        Raises NoAnswerError if no message comes, or the process has ended.
        """
        for _ in range(waits):
            with contextlib.suppress(queue.Empty):
                message = self._messages.get(timeout=max(0.0, timeout_s))
                break
        else:
            raise NoAnswerError(f"no answer within {timeout_s * waits:.0f} s")
        if message is None:
            raise NoAnswerError(self._exit_reason())
        return message

    def interrupt(self) -> None:
        """Send the process SIGINT."""
        self.process.send_signal(signal.SIGINT)

    def close_pipe(self, timeout_s: float) -> None:
        """End the pipe, and wait for the process to exit; an interrupt ends the wait."""
        with contextlib.suppress(KeyboardInterrupt, OSError, subprocess.TimeoutExpired):
            self._run_socket.shutdown(socket.SHUT_RDWR)
            self.process.wait(timeout_s)

    def _exit_reason(self) -> str:
        """Return how the process has ended."""
        try:
            code = self.process.wait(_KILL_S)
        except subprocess.TimeoutExpired:
            return "the pipe to its process broke"
        if name := signal_name(code):
            return f"its process was killed by {name}"
        return f"its process exited with code {code}"


@contextlib.contextmanager
def child_process(command: Sequence[str], mark: str) -> Iterator[ChildProcess]:
    """Start ``command`` for the block, and kill it at the end.

    The number of its pipe's descriptor is its last argument. All processes that it starts inherit
    ``mark``.
    """
    run_socket, child_socket = socket.socketpair()
    run_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_S, 0))
    with child_socket, run_socket:
        process = subprocess.Popen(
            [*command, str(child_socket.fileno())],
            stdin=subprocess.DEVNULL,
            # Ray reports its processes' faults there; records, errors and Ray's logs have them,
            # too.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[child_socket.fileno()],
            # The run handles a terminal's Ctrl-C and a batch system's signal to the process group.
            process_group=0,
            env={**os.environ, **inherited_mark(mark)},
        )
        child_socket.close()
        with Connection(os.dup(run_socket.fileno())) as connection:
            child = ChildProcess(process, run_socket, connection)
            reader = threading.Thread(target=child.read, name="reads from Ray", daemon=True)
            reader.start()
            try:
                yield child
            finally:
                process.kill()
                process.wait()
                with contextlib.suppress(OSError):
                    run_socket.shutdown(socket.SHUT_RDWR)
                reader.join()


def kill_marked_processes(mark: str) -> None:
    """Kill all remaining processes with ``mark``, whatever signals arrive meanwhile."""
    with defer_signals():
        kill_marked(mark, _KILL_S)
