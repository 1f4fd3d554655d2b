"""Exchange messages with one trial process, and end it.

Usage:
    process = preloader.start()
    process.send(StartTrial(...), [data, log])
    for process in wait_for_messages(processes, timeout_s=5.0):
        message = process.receive(timeout_s=5.0)
        if message is None:                       # it sends nothing more
            failure = process_failure(process.exit(timeout_s=5.0), process.fault, ...)
    process.close()
"""

import contextlib
import os
import select
import selectors
import signal
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from bench.protocol.message_stream import MessageStream
from bench.protocol.messages import Message, MessageError

SEND_TIMEOUT_S = 60.0
"""How long a process may take to read a message."""
KILL_TIMEOUT_S = 10.0
"""How long the kernel may take to end a killed process and free its memory."""
PRELOADER_TIMEOUT_S = 60.0
"""How long a preloader may take to report the end of a process.

It needs a few milliseconds of one core. Where other work has all cores, or its memory is on a slow
swap device, that takes seconds; it is then not given up, because all arms of a block end with it.
"""


@dataclass(frozen=True)
class ProcessExit:
    """How a trial process has ended."""

    code: int
    """Exit code, or the negative number of the signal that ended it."""
    peak_rss_bytes: int | None = None
    cpu_s: float | None = None
    """User and system time of all its threads."""
    preloader_code: int | None = None
    """Exit code of its preloader, with which it ended; None if the preloader outlived it."""


class TrialProcess:
    """A process of a preloader; one thread uses it."""

    def __init__(
        self,
        stream: MessageStream,
        pid: int,
        pidfd: int,
        exit_within: Callable[[float], ProcessExit],
    ) -> None:
        self._stream, self.pid, self._pidfd = stream, pid, pidfd
        self._exit_within = exit_within
        self._exit: ProcessExit | None = None
        self.fault: str | None = None
        """Why its message was invalid, for which it was killed; None if none was."""

    def fileno(self) -> int:
        """Return the descriptor to wait on, for ``selectors``."""
        return self._stream.fileno()

    @property
    def has_messages(self) -> bool:
        """Whether it has sent more than ``receive`` returned, which no selector shows."""
        return self._stream.has_messages

    @property
    def has_ended(self) -> bool:
        """Whether the kernel has ended it, whether or not its messages have been read."""
        return self._exit is not None or _has_ended(self._pidfd, 0.0)

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send ``message``; a process that has ended or does not read is killed instead."""
        try:
            self._stream.send(message, descriptors)
        except OSError:
            self.kill()

    def receive(self, timeout_s: float) -> Message | None:
        """Return the next message, or None if there will be none; TimeoutError if none comes."""
        try:
            return self._stream.receive(timeout_s)
        except MessageError as error:
            self._refuse(error)
            return None

    def exit(self, timeout_s: float) -> ProcessExit:
        """Wait for the process to end, and return how it did; TimeoutError if it still runs."""
        if self._exit is None:
            if not _has_ended(self._pidfd, timeout_s):
                raise TimeoutError(f"process {self.pid} still runs after {timeout_s:g} s")
            self._exit = self._exit_within(PRELOADER_TIMEOUT_S)
            if self._stream.peer_ended and self._exit.code != 0:
                self.fault = None  # it died within a message
        return self._exit

    def kill(self) -> None:
        """Kill the process; its preloader kills what is left of its group."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def close(self) -> ProcessExit:
        """Kill the process if it still runs, and release its descriptors; TimeoutError if stuck."""
        if self._exit is None:
            self.kill()
        ended = self.exit(KILL_TIMEOUT_S)
        if self._pidfd >= 0:
            self._stream.close()
            os.close(self._pidfd)
            self._pidfd = -1
        return ended

    def _refuse(self, error: MessageError) -> None:
        self.fault = str(error)
        if not self._stream.peer_ended:
            self.kill()


def wait_for_messages(processes: Collection[TrialProcess], timeout_s: float) -> list[TrialProcess]:
    """Return the processes that have sent something or have ended, as soon as there is one.

    Returns none if nothing arrives in time.
    """
    with selectors.DefaultSelector() as selector:
        for process in processes:
            selector.register(process, selectors.EVENT_READ, process)
        ready = [process for process in processes if process.has_messages]
        return ready or [key.data for key, _ in selector.select(timeout_s)]


def _has_ended(pidfd: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))
