"""Run trials on Ray in a separate process, so that no fault of Ray ends or blocks the run.

Usage:
    with RayProcess(address=None) as executor:
        for record in executor.run(blocks, limits, on_event): ...

Ray's library exits its process when a raylet or a head is lost, and some of its calls block for
ever and handle no signal. Here such an exit costs only the running trials, whose finished epochs
are kept. Signals are always handled, and whatever does not end is killed.
"""

import contextlib
import dataclasses
import os
import queue
import signal
import socket
import struct
import subprocess
import threading
import time
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from bench.errors import ClusterLostError
from bench.execution.executor import EpochEnd, Event, Limits, OnEvent, TrialStart
from bench.execution.python_command import module_command
from bench.execution.ray_backend.cluster.peer_network import named_network
from bench.execution.ray_backend.local.private_ray_files import NotStartedError, ray_folder
from bench.execution.ray_backend.local.ray_storage import usable_folder
from bench.execution.ray_backend.process.process_reaper import reaper
from bench.execution.ray_backend.process.ray_messages import (
    ClusterDevices,
    ProcessHeartbeat,
    RaySetup,
    RunEnd,
    RunRequest,
)
from bench.execution.ray_backend.workers.epoch_log import epoch_lines, with_lines
from bench.execution.signals import defer_signals
from bench.measure.marked_processes import inherited_mark, kill_marked
from bench.process_exit import signal_name
from bench.records.epoch_record import EpochRecord
from bench.records.trial_record import Status, TrialRecord
from bench.spec.device import RequestedDevice
from bench.spec.plan import Block

_LOCAL_START_S = 180.0
"""Reading Ray's library from a slow disk may take a minute, and the start of a local Ray another.
"""
_JOIN_S = 600.0
"""Each node of a cluster is called several times, and a busy one may take minutes to answer."""
_INTERRUPTED_S = 10.0
"""How long Ray's process may take to send the records of interrupted trials."""
_SHUTDOWN_S = 15.0
"""How long it may take to shut Ray down. Both together stay below the 30 s that Slurm and
Kubernetes commonly leave between a signal and the end.
"""
_WAIT_S, _MAX_SILENT_WAITS = 5.0, 24
"""Ray's process counts as frozen after this many waits of this many seconds without a heartbeat.

Waits are counted, not time, because this process may have been stopped meanwhile as well.
"""
_SEND_S = 60
"""How long Ray's process may take to read a message."""
_KILL_S = 10.0


class _NoAnswerError(Exception):
    """Ray's process no longer answers; the message says why."""


class RayProcess:
    """An executor on the cluster at ``address``, or on this machine where that is None."""

    name = "ray"

    def __init__(
        self,
        address: str | None = None,
        device: RequestedDevice = "auto",
        modules: Sequence[Path] = (),
        network: str | None = None,
    ) -> None:
        self._setup = RaySetup(address, device, tuple(modules), named_network(network))
        self._lost = self._unacknowledged = False

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            mark, folder = uuid.uuid4().hex, None
            if self._setup.address is None:
                folder = stack.enter_context(ray_folder(usable_folder()))
            stack.enter_context(reaper(mark, folder))
            stack.callback(_kill, mark)
            self._child = stack.enter_context(_child(mark))
            self._ready = self._start(dataclasses.replace(self._setup, folder=folder))
            stack.callback(self._shut_down)
            self._entered = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered.close()

    def _start(self, setup: RaySetup) -> ClusterDevices:
        """Have the process start or join Ray; NotStartedError if that does not finish."""
        try:
            self._send(setup)
            ready = self._receive(_JOIN_S if setup.folder is None else _LOCAL_START_S)
        except _NoAnswerError as gone:
            logs = setup.folder or "ray-* of its nodes' /tmp or RAY_TMPDIR"
            raise NotStartedError(
                f"Ray does not start ({gone}): see its logs in {logs}, and end other work on this "
                "machine or the cluster"
            ) from None
        assert isinstance(ready, ClusterDevices)
        return ready

    @property
    def devices_allotted(self) -> bool:
        """Whether a cluster allots devices to its runs."""
        return self._setup.address is not None

    @property
    def parallel_blocks(self) -> int:
        """How many blocks of one-device trials run at once."""
        return self._ready.parallel_blocks

    @property
    def uses_gpus(self) -> bool:
        """Whether trials run on real GPUs, not on logical ones."""
        return self._ready.uses_gpus

    @property
    def gpus(self) -> tuple[str, ...]:
        """UUIDs of the GPUs that trials may get."""
        return self._ready.gpus

    def environment(self) -> Mapping[str, Any]:
        """Return the environment of each node, as the node reports it, by the node's name."""
        return self._ready.environment

    def run(
        self, blocks: Sequence[Block], limits: Limits, on_event: OnEvent
    ) -> Generator[TrialRecord, None, None]:
        """Yield the records that Ray's process sends; raise ClusterLostError if it dies."""
        running = _RunningTrials()
        try:
            self._send(RunRequest(blocks, limits))
            yield from self._records(running, limits, on_event)
        except KeyboardInterrupt:
            # Errors in the meantime do not matter: the run ends by the interrupt.
            try:
                yield from self._interrupted(running, limits)
            except (KeyboardInterrupt, Exception) as error:
                self._lost = isinstance(error, _NoAnswerError | ClusterLostError)
            yield from running.cut_short("interrupted", "the run was interrupted")
            raise
        except _NoAnswerError as gone:
            self._lost = True
            yield from running.cut_short("worker_lost", f"Ray was lost: {gone}")
            address = self._setup.address
            which = f"the Ray at {address}" if address else "this machine's Ray"
            advice = "restart it, then continue" if address else "continue"
            raise ClusterLostError(f"{which} was lost ({gone}): {advice} with --resume") from None
        except Exception as error:
            self._lost = isinstance(error, ClusterLostError)
            reason = f"the run failed with {type(error).__name__}: {error}".splitlines()[0]
            yield from running.cut_short("interrupted", reason)
            raise

    def _records(
        self, running: "_RunningTrials", limits: Limits, on_event: OnEvent
    ) -> Iterator[TrialRecord]:
        while not isinstance(message := self._receive(_WAIT_S, _MAX_SILENT_WAITS), RunEnd):
            if isinstance(message, TrialRecord):
                running.ended(message)
                self._unacknowledged = True
                yield message
                self._acknowledge(limits)
            elif not isinstance(message, ProcessHeartbeat):
                running.note(message)
                on_event(message)

    def _acknowledge(self, limits: Limits) -> None:
        """Confirm to Ray's process, which waits for it, that its record is written."""
        self._unacknowledged = False
        self._send(limits.skip_reason)

    def _interrupted(self, running: "_RunningTrials", limits: Limits) -> Iterator[TrialRecord]:
        """Yield the records that Ray's process still sends before a deadline."""
        if self._unacknowledged:
            self._acknowledge(limits)
        self._child.process.send_signal(signal.SIGINT)
        ends = time.monotonic() + _INTERRUPTED_S
        while not isinstance(message := self._receive(ends - time.monotonic()), RunEnd):
            if isinstance(message, TrialRecord):
                running.ended(message)
                yield message
                self._acknowledge(limits)
            else:
                running.note(message)

    def _receive(self, timeout_s: float, waits: int = 1) -> Any:
        """Return the next message; raise the error that Ray's process sent, or _NoAnswerError.

        Waits ``waits`` times for a message, ``timeout_s`` each time.
        """
        for _ in range(waits):
            with contextlib.suppress(queue.Empty):
                message = self._child.messages.get(timeout=max(0.0, timeout_s))
                break
        else:
            raise _NoAnswerError(f"no answer within {timeout_s * waits:.0f} s")
        if message is None:
            raise _NoAnswerError(self._exit_reason())
        if isinstance(message, RunEnd) and message.error is not None:
            raise message.error
        return message

    def _send(self, message: object) -> None:
        try:
            self._child.connection.send(message)
        except OSError:
            raise _NoAnswerError(self._exit_reason()) from None

    def _exit_reason(self) -> str:
        """Return how the process has ended."""
        try:
            code = self._child.process.wait(_KILL_S)
        except subprocess.TimeoutExpired:
            return "the pipe to its process broke"
        if name := signal_name(code):
            return f"its process was killed by {name}"
        return f"its process exited with code {code}"

    def _shut_down(self) -> None:
        """Have the process shut Ray down; an interrupt ends the wait."""
        with contextlib.suppress(KeyboardInterrupt, OSError, subprocess.TimeoutExpired):
            self._child.run_socket.shutdown(socket.SHUT_RDWR)
            self._child.process.wait(0.0 if self._lost else _SHUTDOWN_S)


class _RunningTrials:
    """The trials that run, with their reported epochs."""

    def __init__(self) -> None:
        self._started: dict[str, tuple[TrialStart, float]] = {}
        self._epochs: dict[str, list[EpochRecord]] = {}

    def note(self, event: Event) -> None:
        """Remember a started trial, or an epoch of one."""
        if isinstance(event, TrialStart):
            self._started[event.trial.trial_id] = event, time.perf_counter()
            self._epochs[event.trial.trial_id] = []
        elif isinstance(event, EpochEnd):
            self._epochs.setdefault(event.trial_id, []).append(event.epoch)

    def ended(self, record: TrialRecord) -> None:
        """Forget a trial that has its record."""
        self._started.pop(record.trial.trial_id, None)

    def cut_short(self, status: Status, reason: str) -> Iterator[TrialRecord]:
        """Yield the records of the running trials, with the epochs in their workers' local logs."""
        while self._started:
            trial_id, (event, since) = self._started.popitem()
            epochs = tuple(self._epochs[trial_id])
            for log in event.logs:
                epochs = with_lines(epochs, epoch_lines(log))
            yield TrialRecord(
                trial=event.trial,
                status=status,
                error=reason,
                node=event.where,
                epochs=epochs,
                wall_s=time.perf_counter() - since,
            )


class _Child(NamedTuple):
    """Ray's process, and the pipe to it."""

    process: "subprocess.Popen[bytes]"
    run_socket: socket.socket
    connection: Connection
    messages: "queue.SimpleQueue[Any]"
    """Its messages; None once it has ended."""

    def read(self) -> None:
        """Queue its messages. This runs in a thread: an interrupt would cut a message in two."""
        try:
            # The pipe has ended, or a message cannot be read.
            with contextlib.suppress(Exception):
                while True:
                    self.messages.put(self.connection.recv())
        finally:
            self.messages.put(None)


@contextlib.contextmanager
def _child(mark: str) -> Iterator[_Child]:
    """Start Ray's process for the block; kill it at the end."""
    run_socket, child_socket = socket.socketpair()
    run_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_S, 0))
    with child_socket, run_socket:
        process = subprocess.Popen(
            module_command(
                "bench.execution.ray_backend.process.ray_child", str(child_socket.fileno())
            ),
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
            child = _Child(process, run_socket, connection, queue.SimpleQueue())
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


def _kill(mark: str) -> None:
    """Kill all remaining processes that the process for Ray has started."""
    with defer_signals():
        kill_marked(mark, _KILL_S)
