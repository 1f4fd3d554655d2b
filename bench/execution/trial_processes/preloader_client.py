"""Start a preloader, and trial processes through it.

Usage:
    with PreloaderClient(variables={"TF_ENABLE_ONEDNN_OPTS": "0"}) as preloader:
        preloader.preloaded.process_start       # "fork", or "spawn" where forking is unsafe
        process = preloader.start()

At the end of the block no process is left. If this process is killed, the kernel closes its end of
the sockets, which ends the preloader and its processes.
"""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Self

from bench.errors import HelperError
from bench.execution.python_command import command_under, module_command
from bench.execution.trial_processes.trial_process import (
    KILL_TIMEOUT_S,
    SEND_TIMEOUT_S,
    ProcessExit,
    TrialProcess,
)
from bench.process_exit import describe_exit
from bench.protocol.message_stream import MessageStream
from bench.protocol.messages import (
    Message,
    MessageError,
    Preload,
    Preloaded,
    ProcessExited,
    ProcessStarted,
    StartProcess,
)
from bench.records.atomic_write import temporary_file

_MODULE = "bench.training.trial_process.preloader"
_IMPORT_TIMEOUT_S = 180.0
"""Reading TensorFlow from a slow disk may take a minute."""
_START_TIMEOUT_S = 60.0


class PreloaderClient:
    """A preloader and its processes; one thread uses them.

    ``interpreter`` is the Python to run, None for this one; it imports ``bench`` from the folder
    ``package``, None for that of this process. ``variables`` are set, or unset where they are None.
    ``modules`` and ``child`` are imported before the first process starts, and each process runs
    ``serve`` of ``child``. The preloader works in ``folder``.
    """

    def __init__(
        self,
        interpreter: str | None = None,
        variables: Mapping[str, str | None] | None = None,
        folder: Path | None = None,
        modules: Sequence[str] = ("bench.training.trial",),
        child: str = "bench.training.trial_process.child",
        package: Path | None = None,
    ) -> None:
        self._interpreter, self._package, self._folder = interpreter, package, folder
        changed = {**os.environ, **(variables or {})}
        self._environ = {name: value for name, value in changed.items() if value is not None}
        self._request = Preload(modules=tuple(modules), child=child)
        self._exits: dict[int, ProcessExit] = {}
        self._processes: list[TrialProcess] = []
        self._import_s: float | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._log = stack.enter_context(temporary_file())
            self._stream, self._process = self._launch(self._log)
            stack.callback(self._end)
            self.preloaded = self._preload()
            if self.preloaded.process_start == "fork":
                self._import_s = self.preloaded.import_s
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for process in self._processes:
                with contextlib.suppress(TimeoutError):
                    process.close()
        finally:
            self._end()
            self._log.close()

    @property
    def pid(self) -> int:
        """The process id of the preloader."""
        return self._process.pid

    def take_import_s(self) -> float | None:
        """Return the time of the imports to the first caller, whose process shares them; else None.

        Also None if processes are spawned, and import for themselves.
        """
        import_s, self._import_s = self._import_s, None
        return import_s

    def start(self) -> TrialProcess:
        """Start a process; HelperError if the preloader has died or does not answer."""
        number = len(self._processes)
        ours, theirs = socket.socketpair()
        stream = MessageStream(ours, SEND_TIMEOUT_S)
        try:
            with theirs:
                self._stream.send(StartProcess(number=number), [theirs.fileno()])
            started = self._next(ProcessStarted)
            (pidfd,) = self._stream.take_descriptors(1)
        except (OSError, MessageError, TimeoutError) as error:
            stream.close()
            raise self._failure("the preloader", error) from None
        process = TrialProcess(stream, started.pid, pidfd, partial(self._exit_of, number))
        self._processes.append(process)
        return process

    def _launch(self, log: IO[bytes]) -> tuple[MessageStream, "subprocess.Popen[bytes]"]:
        ours, theirs = socket.socketpair()
        descriptor = str(theirs.fileno())
        if self._interpreter is None and self._package is None:
            command = module_command(_MODULE, descriptor)
        else:
            command = command_under(self._interpreter, self._package, _MODULE, descriptor)
        stream = MessageStream(ours, SEND_TIMEOUT_S)
        try:
            with theirs:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._folder,
                    env=self._environ,
                    pass_fds=[theirs.fileno()],
                    # A terminal's Ctrl-C is the run's, which ends its processes in good order.
                    start_new_session=True,
                )
        except OSError as error:
            stream.close()
            raise HelperError(f"{command[0]} cannot be started: {error.strerror}") from None
        return stream, process

    def _preload(self) -> Preloaded:
        imported = [*self._request.modules, self._request.child]
        try:
            self._stream.send(self._request)
            message = self._stream.receive(_IMPORT_TIMEOUT_S)
            if isinstance(message, Preloaded):
                return message
            raise MessageError(f"sent {type(message).__name__}")
        except (OSError, MessageError, TimeoutError) as error:
            process = f"the process that imports {', '.join(imported)}"
            raise self._failure(process, error) from None

    def _next(self, kind: type[ProcessStarted]) -> ProcessStarted:
        """Return the next message of ``kind``, keeping exits that come before it."""
        while not isinstance(message := self._stream.receive(_START_TIMEOUT_S), kind):
            if message is None:
                raise MessageError("closed its socket")
            self._keep(message)
        return message

    def _keep(self, message: Message) -> None:
        if isinstance(message, ProcessExited):
            self._exits[message.number] = ProcessExit(
                message.code, message.peak_rss_bytes, message.cpu_s
            )

    def _exit_of(self, number: int, timeout_s: float) -> ProcessExit:
        """Return how an ended process did; if the preloader does not say, end the preloader."""
        try:
            while number not in self._exits and not self._stream.closed:
                message = self._stream.receive(timeout_s)
                if message is not None:
                    self._keep(message)
        except (OSError, MessageError, TimeoutError):
            self._process.kill()
        if number in self._exits:
            return self._exits[number]
        self._process.kill()
        # The kernel has killed the process with its preloader.
        return ProcessExit(-signal.SIGKILL, preloader_code=self._process.wait())

    def _failure(self, name: str, error: Exception) -> HelperError:
        """Say how the preloader, which the message calls ``name``, ended, or ``error``."""
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return HelperError(f"{name} does not answer as expected: {error}")
        return HelperError(f"{name} {describe_exit(code, self._log)}", was_killed=code < 0)

    def _end(self) -> None:
        """End the preloader, which kills and reaps its processes; kill it if it does not end."""
        self._stream.close()
        try:
            self._process.wait(KILL_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
