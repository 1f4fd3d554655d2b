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
import importlib
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import time
import traceback
import warnings
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
from bench.training.trial_process.parent_death import end_with_parent


class Preloader:
    """Starts the processes that a holder asks for, and reports how each ends."""

    def __init__(self, holder: MessageStream, request: Preload) -> None:
        self._holder, self._child = holder, request.child
        self._running: dict[int, tuple[int, int]] = {}
        """Number and pid of each process, by its pidfd."""
        started = time.perf_counter()
        self._reason = import_modules(request.modules)
        self._preloaded = Preloaded(
            process_start="spawn" if self._reason else "fork",
            reason=self._reason,
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
        pid = self._fork(connection) if self._reason is None else self._spawn(connection)
        os.close(connection)
        # The pid cannot be reused before this process reaps it.
        pidfd = os.pidfd_open(pid)
        self._running[pidfd] = message.number, pid
        self._holder.send(ProcessStarted(number=message.number, pid=pid), [pidfd])
        return pidfd

    def _fork(self, connection: int) -> int:
        parent = os.getpid()
        with warnings.catch_warnings():
            # Python warns of every thread; `import_modules` has checked them.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            code = 1
            try:
                end_with_parent(parent)
                os.setsid()
                self._holder.close()
                for pidfd in self._running:
                    os.close(pidfd)
                code = run_child(self._child, connection, forked=True)
            finally:
                # Never return into the preloader's own work.
                os._exit(code)
        return pid

    def _spawn(self, connection: int) -> int:
        command = [sys.executable, "-P", "-c", _SPAWNED.format(path=sys.path), self._child]
        process = subprocess.Popen(
            [*command, str(connection), str(os.getpid())],
            pass_fds=[connection],
            start_new_session=True,
        )
        pid, process.returncode = process.pid, 0  # `_reap` waits for it, not Popen
        return pid

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


_SPAWNED = (
    "import sys; sys.path[:] = {path!r}; "
    "from bench.training.trial_process.preloader import run_spawned; run_spawned()"
)


def run_spawned() -> None:
    """Run as a spawned process; its arguments are the child's module, the socket, the parent."""
    child, connection, parent = sys.argv[1:]
    end_with_parent(int(parent))
    os._exit(run_child(child, int(connection), forked=False))


def run_child(child: str, connection: int, *, forked: bool) -> int:
    """Run ``serve`` of the module ``child`` in this process, and return its exit code."""
    try:
        stream = MessageStream(socket.socket(fileno=connection))
        importlib.import_module(child).serve(stream, "fork" if forked else "spawn")
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        for output in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                output.flush()
    return 0


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
