"""Import TensorFlow once, then start trial processes that need no import.

Usage:
    python -m bench.training.trial_process.preloader FD       # FD: a Unix socket to the holder

A process is forked from this one, which touches no device. If the import leaves this process in a
state that must not be forked, a process is a new interpreter. Forked processes share this one's
address layout, so that arms of one block do not differ by it; a holder starts a new preloader for
each block. When the holder closes its end, all processes are killed.
"""

import contextlib
import fcntl
import os
import select
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator

from bench.protocol.message_stream import MessageStream
from bench.protocol.messages import (
    Preload,
    Preloaded,
    ProcessExited,
    ProcessStarted,
    StartProcess,
)
from bench.training.trial_process.fork_safety import import_modules
from bench.training.trial_process.process_start import fork_process, spawn_process


class Preloader:
    """Starts the processes that a holder asks for, and reports how each ends."""

    def __init__(self, holder: MessageStream, request: Preload) -> None:
        self._holder, self._child = holder, request.child
        self._running: dict[int, tuple[int, int]] = {}
        """Number and pid of each process, by its pidfd."""
        started = time.perf_counter()
        reason = import_modules([*request.modules, request.child])
        self._preloaded = Preloaded(
            process_start="spawn" if reason else "fork",
            reason=reason,
            import_s=time.perf_counter() - started,
        )

    def serve(self) -> None:
        """Start processes until the holder closes its end, then kill those that run."""
        self._holder.send(self._preloaded)
        selector = selectors.DefaultSelector()
        selector.register(self._holder, selectors.EVENT_READ)
        try:
            while not self._holder.closed:
                for key, _ in selector.select():
                    if key.fileobj is self._holder:
                        for message in self._holder.available():
                            if isinstance(message, StartProcess):
                                selector.register(self._start(message), selectors.EVENT_READ)
                    else:
                        selector.unregister(key.fd)
                        self._holder.send(self._reap(key.fd))
        finally:
            for pidfd in list(self._running):
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                self._reap(pidfd)

    def _start(self, message: StartProcess) -> int:
        """Start a process, report it, and return its pidfd."""
        (connection,) = self._holder.take_descriptors(1)
        if self._preloaded.process_start == "fork":
            pid = fork_process(self._child, connection, self._forget)
        else:
            pid = spawn_process(self._child, connection)
        os.close(connection)
        # The pid cannot be reused before this process reaps it.
        pidfd = os.pidfd_open(pid)
        self._running[pidfd] = message.number, pid
        self._holder.send(ProcessStarted(number=message.number, pid=pid), [pidfd])
        return pidfd

    def _forget(self) -> None:
        """Close, in a forked process, what belongs to this one."""
        self._holder.close()
        for pidfd in self._running:
            os.close(pidfd)

    def _reap(self, pidfd: int) -> ProcessExited:
        """Kill what is left of an ended process's group, and return how the process ended."""
        number, pid = self._running.pop(pidfd)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        # Until it is reaped, no other process can get the number of its group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        os.close(pidfd)
        return ProcessExited(
            number=number,
            code=os.waitstatus_to_exitcode(status),
            peak_rss_bytes=usage.ru_maxrss * 1024,
            cpu_s=usage.ru_utime + usage.ru_stime,
        )


def main() -> None:
    """Serve the holder at the other end of the socket that the command line names."""
    holder = MessageStream(socket.socket(fileno=int(sys.argv[1])))
    request = holder.receive()
    # If the holder has gone, this process just ends.
    if isinstance(request, Preload):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            with _ended_by_hangup(holder.fileno()):
                preloader = Preloader(holder, request)
            preloader.serve()


@contextlib.contextmanager
def _ended_by_hangup(connection: int) -> Iterator[None]:
    """End this process if the peer closes its end, whatever the process does meanwhile.

    An import may take a minute and reads no socket. The peer must send nothing in the block: the
    kernel sends SIGIO, which ends a process, for anything that happens to the socket (fcntl(2)).
    """
    flags = fcntl.fcntl(connection, fcntl.F_GETFL)
    fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(connection, fcntl.F_SETFL, flags | os.O_ASYNC)
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    if poll.poll(0):  # it has closed before
        sys.exit()
    try:
        yield
    finally:
        fcntl.fcntl(connection, fcntl.F_SETFL, flags)


if __name__ == "__main__":
    main()
    # An interpreter that has imported TensorFlow takes more than a second to shut down.
    sys.stderr.flush()
    os._exit(0)
