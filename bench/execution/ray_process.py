"""Trials on Ray, which has a process of its own: no fault of Ray's ends or blocks the run's.

Usage:
    with RayProcess(address=None) as executor:
        for record in executor.run(blocks, limits, on_event): ...

Ray's library exits the process that it is in where a raylet or a head is lost, and some of its
calls wait without end and heed no signal. Here such an exit is the loss of what was running, with
the epochs that had been finished; a signal is always heeded; and whatever does not end is killed.
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
from bench.execution.epoch_file import epoch_lines, with_lines
from bench.execution.executor import EpochEnded, Event, Limits, OnEvent, Started
from bench.execution.interrupt import held_back
from bench.execution.own_python import own_python
from bench.execution.peer_network import named_network
from bench.execution.ray_files import NotStartedError, ray_folder
from bench.execution.ray_messages import Alive, Device, Ended, Ready, Setup, Task
from bench.execution.ray_storage import usable_folder
from bench.execution.reaper import reaper
from bench.measure.processes import inherited, kill_marked
from bench.records.epoch_record import EpochRecord
from bench.records.record import Status, TrialRecord
from bench.spec.plan import Block

_LOCAL_START_S = 180.0
"""Ray's library may be read from a slow disk for a minute; a local Ray has a minute of its own."""
_JOIN_S = 600.0
"""Of a cluster, each node is asked several times, with minutes for a busy one to answer."""
_INTERRUPTED_S = 10.0
"""How long Ray's process may take to give the records of what an interrupt cut short."""
_LEAVE_S = 15.0
"""How long it may take to leave Ray. Both together stay below the 30 s that Slurm and Kubernetes
commonly leave between a signal and the end.
"""
_LOOK_S, _SILENT_LOOKS = 5.0, 24
"""With no heartbeat in so many looks of so many seconds, Ray's process is taken to be frozen.

Looks are counted, not time, since this process may have been stopped meanwhile as well.
"""
_SEND_S = 60
"""How long Ray's process may take to read what it is sent."""
_KILL_S = 10.0


class _NoAnswerError(Exception):
    """Ray's process does not answer any more; why, in words."""


class RayProcess:
    """An executor on the cluster at ``address``, or on this machine where that is None."""

    name = "ray"

    def __init__(
        self,
        address: str | None = None,
        device: Device = "auto",
        modules: Sequence[Path] = (),
        network: str | None = None,
    ) -> None:
        self._setup = Setup(address, device, tuple(modules), named_network(network))
        self._lost = self._owed = False

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            mark, folder = uuid.uuid4().hex, None
            if self._setup.address is None:
                folder = stack.enter_context(ray_folder(usable_folder()))
            stack.enter_context(reaper(mark, folder))
            stack.callback(_kill, mark)
            self._child = stack.enter_context(_child(mark))
            self._ready = self._start(dataclasses.replace(self._setup, folder=folder))
            stack.callback(self._leave)
            self._entered = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered.close()

    def _start(self, setup: Setup) -> Ready:
        """Have the process start or join Ray; NotStartedError where that does not end."""
        try:
            self._send(setup)
            ready = self._receive(_JOIN_S if setup.folder is None else _LOCAL_START_S)
        except _NoAnswerError as gone:
            logs = setup.folder or "ray-* of its nodes' /tmp or RAY_TMPDIR"
            raise NotStartedError(
                f"Ray does not start ({gone}): see its logs in {logs} and end what keeps this "
                "machine or the cluster busy"
            ) from None
        assert isinstance(ready, Ready)
        return ready

    @property
    def devices_allotted(self) -> bool:
        """Whether a cluster allots devices to its runs."""
        return self._setup.address is not None

    @property
    def lanes(self) -> int:
        """How many blocks of one-device trials run at once."""
        return self._ready.lanes

    @property
    def uses_gpus(self) -> bool:
        """Whether trials run on GPUs, which are more than counted."""
        return self._ready.uses_gpus

    @property
    def gpus(self) -> tuple[str, ...]:
        """UUIDs of those that trials may get."""
        return self._ready.gpus

    def environment(self) -> Mapping[str, Any]:
        """Each node's, as the node itself tells it, by its name."""
        return self._ready.environment

    def run(
        self, blocks: Sequence[Block], limits: Limits, on_event: OnEvent
    ) -> Generator[TrialRecord, None, None]:
        """As the executor in Ray's process gives them; ClusterLostError once that has died."""
        running = _Running()
        try:
            self._send(Task(blocks, limits))
            yield from self._records(running, limits, on_event)
        except KeyboardInterrupt:
            # Whatever else goes wrong meanwhile, it is an interrupt that ends the run.
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
            again = "start it again, then go on" if address else "go on"
            raise ClusterLostError(f"{which} is gone ({gone}): {again} with --resume") from None
        except Exception as error:
            self._lost = isinstance(error, ClusterLostError)
            said = f"the run ended on {type(error).__name__}: {error}".splitlines()[0]
            yield from running.cut_short("interrupted", said)
            raise

    def _records(
        self, running: "_Running", limits: Limits, on_event: OnEvent
    ) -> Iterator[TrialRecord]:
        while not isinstance(message := self._receive(_LOOK_S, _SILENT_LOOKS), Ended):
            if isinstance(message, TrialRecord):
                running.ended(message)
                self._owed = True
                yield message
                self._acknowledge(limits)
            elif not isinstance(message, Alive):
                running.note(message)
                on_event(message)

    def _acknowledge(self, limits: Limits) -> None:
        """Tell Ray's process that its record is kept: it waits for that."""
        self._owed = False
        self._send(limits.needless)

    def _interrupted(self, running: "_Running", limits: Limits) -> Iterator[TrialRecord]:
        """What Ray's process has still to say, in so far as it is quick."""
        if self._owed:
            self._acknowledge(limits)
        self._child.process.send_signal(signal.SIGINT)
        ends = time.monotonic() + _INTERRUPTED_S
        while not isinstance(message := self._receive(ends - time.monotonic()), Ended):
            if isinstance(message, TrialRecord):
                running.ended(message)
                yield message
                self._acknowledge(limits)
            else:
                running.note(message)

    def _receive(self, timeout_s: float, looks: int = 1) -> Any:
        """The next message, or what Ray's process has raised; _NoAnswerError where none comes.

        ``looks`` is how often one is waited for, ``timeout_s`` each time.
        """
        for _ in range(looks):
            with contextlib.suppress(queue.Empty):
                message = self._child.messages.get(timeout=max(0.0, timeout_s))
                break
        else:
            raise _NoAnswerError(f"no answer in {timeout_s * looks:.0f} s")
        if message is None:
            raise _NoAnswerError(self._end())
        if isinstance(message, Ended) and message.error is not None:
            raise message.error
        return message

    def _send(self, message: object) -> None:
        try:
            self._child.connection.send(message)
        except OSError:
            raise _NoAnswerError(self._end()) from None

    def _end(self) -> str:
        """How the process has ended."""
        try:
            code = self._child.process.wait(_KILL_S)
        except subprocess.TimeoutExpired:
            return "the pipe to its process broke"
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"its library ended its process with code {code}"

    def _leave(self) -> None:
        """Have the process leave Ray in good order; an interrupt cuts that short."""
        with contextlib.suppress(KeyboardInterrupt, OSError, subprocess.TimeoutExpired):
            self._child.own_end.shutdown(socket.SHUT_RDWR)
            self._child.process.wait(0.0 if self._lost else _LEAVE_S)


class _Running:
    """The trials that were started and have not ended, with the epochs that they have told of."""

    def __init__(self) -> None:
        self._started: dict[str, tuple[Started, float]] = {}
        self._epochs: dict[str, list[EpochRecord]] = {}

    def note(self, event: Event) -> None:
        """Something has happened."""
        if isinstance(event, Started):
            self._started[event.trial.trial_id] = event, time.perf_counter()
            self._epochs[event.trial.trial_id] = []
        elif isinstance(event, EpochEnded):
            self._epochs.setdefault(event.trial_id, []).append(event.epoch)

    def ended(self, record: TrialRecord) -> None:
        """A trial has its record."""
        self._started.pop(record.trial.trial_id, None)

    def cut_short(self, status: Status, reason: str) -> Iterator[TrialRecord]:
        """The records of what runs, with the epochs that its workers have left on this machine."""
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
    own_end: socket.socket
    connection: Connection
    messages: "queue.SimpleQueue[Any]"
    """What it has said; None once it has ended."""

    def read(self) -> None:
        """Queue what it says. A thread does: an interrupt would cut a message in two."""
        try:
            # The pipe's end, or a message that cannot be read.
            with contextlib.suppress(Exception):
                while True:
                    self.messages.put(self.connection.recv())
        finally:
            self.messages.put(None)


@contextlib.contextmanager
def _child(mark: str) -> Iterator[_Child]:
    """Ray's process, which is killed in the end."""
    own, its = socket.socketpair()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_S, 0))
    with its, own:
        process = subprocess.Popen(
            own_python("bench.execution.ray_child", str(its.fileno())),
            stdin=subprocess.DEVNULL,
            # Ray says there what befalls its processes, as records and errors do; its logs have it.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[its.fileno()],
            # A terminal's Ctrl-C, and a batch system's signal to a group, are for the run to hear.
            process_group=0,
            env={**os.environ, **inherited(mark)},
        )
        its.close()
        with Connection(os.dup(own.fileno())) as connection:
            child = _Child(process, own, connection, queue.SimpleQueue())
            reader = threading.Thread(target=child.read, name="hears Ray's process", daemon=True)
            reader.start()
            try:
                yield child
            finally:
                process.kill()
                process.wait()
                with contextlib.suppress(OSError):
                    own.shutdown(socket.SHUT_RDWR)
                reader.join()


def _kill(mark: str) -> None:
    """Kill all that the process for Ray has started and that is left."""
    with held_back():
        kill_marked(mark, _KILL_S)
