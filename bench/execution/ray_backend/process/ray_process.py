"""Run trials on Ray in a separate process, so that no fault of Ray ends or blocks the run.

Usage:
    with RayProcess(address=None) as executor:
        for record in executor.run(blocks, limits, on_event): ...
        for record in executor.run(further_blocks, limits, on_event): ...

Ray's library exits its process when a raylet or a head is lost, and some of its calls block for
ever and handle no signal. Here such an exit costs only the running trials, whose finished epochs
are kept. Signals are always handled, and whatever does not end is killed.

Both ends of the pipe are in this module, whose messages are in ``ray_messages``:

    the run: RayProcess                      Ray's process: main

    RaySetup                         ->      starts or joins Ray
                                     <-      ClusterDevices
    RunRequest                       ->      runs the blocks
                                     <-      an Event, or a ProcessHeartbeat
                                     <-      a TrialRecord
    the newest Limits.skip_reason    ->      the record is written: go on
                                     <-      RunEnd
    a further RunRequest, or the end of the pipe

A RunEnd with an error is the last message: Ray's process then shuts Ray down and exits.
"""

import contextlib
import dataclasses
import signal
import sys
import threading
import time
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bench.errors import ClusterLostError
from bench.execution.executor import Limits, OnEvent, drain
from bench.execution.python_command import module_command
from bench.execution.ray_backend.cluster.peer_network import named_network
from bench.execution.ray_backend.local.private_ray_files import NotStartedError, ray_folder
from bench.execution.ray_backend.local.ray_storage import usable_folder
from bench.execution.ray_backend.process.child_process import (
    NoAnswerError,
    child_process,
    kill_marked_processes,
)
from bench.execution.ray_backend.process.process_reaper import reaper
from bench.execution.ray_backend.process.ray_messages import (
    ClusterDevices,
    ProcessHeartbeat,
    RaySetup,
    RunEnd,
    RunPipe,
    RunRequest,
)
from bench.execution.ray_backend.process.running_trials import RunningTrials
from bench.records.trial_record import TrialRecord
from bench.spec.device import RequestedDevice
from bench.spec.plan import Block, Trial

if TYPE_CHECKING:
    from bench.execution.ray_backend.ray_executor import RayExecutor

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
            stack.callback(kill_marked_processes, mark)
            self._child = stack.enter_context(child_process(module_command(__name__), mark))
            self._ready = self._start(dataclasses.replace(self._setup, folder=folder))
            stack.callback(self._shut_down)
            self._entered = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.close()

    def _start(self, setup: RaySetup) -> ClusterDevices:
        """Have the process start or join Ray; NotStartedError if that does not finish."""
        try:
            self._child.send(setup)
            ready = self._receive(_JOIN_S if setup.folder is None else _LOCAL_START_S)
        except NoAnswerError as gone:
            logs = setup.folder or "ray-* of its nodes' /tmp or RAY_TMPDIR"
            raise NotStartedError(
                f"Ray does not start ({gone}): see its logs in {logs}, and stop other programs on "
                "this machine or the cluster"
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
        """Yield the records that Ray's process sends; raise ClusterLostError if it dies.

        May be called again once an earlier call has yielded all its records and raised no error.
        """
        running = RunningTrials()
        try:
            self._child.send(RunRequest(blocks, limits))
            yield from self._records(running, limits, on_event)
        except KeyboardInterrupt:
            # Errors in the meantime do not matter: the run ends by the interrupt.
            try:
                yield from self._interrupted(running, limits)
            except (KeyboardInterrupt, Exception) as error:
                self._lost = isinstance(error, NoAnswerError | ClusterLostError)
            yield from running.cut_short("interrupted", "the run was interrupted")
            raise
        except NoAnswerError as gone:
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
        self, running: RunningTrials, limits: Limits, on_event: OnEvent
    ) -> Iterator[TrialRecord]:
        while not isinstance(message := self._receive(_WAIT_S, _MAX_SILENT_WAITS), RunEnd):
            if isinstance(message, TrialRecord):
                running.remove(message)
                self._unacknowledged = True
                yield message
                self._acknowledge(limits)
            elif not isinstance(message, ProcessHeartbeat):
                running.note(message)
                on_event(message)

    def _acknowledge(self, limits: Limits) -> None:
        """Confirm to Ray's process, which waits for it, that its record is written."""
        self._unacknowledged = False
        self._child.send(limits.skip_reason)

    def _interrupted(self, running: RunningTrials, limits: Limits) -> Iterator[TrialRecord]:
        """Yield the records that Ray's process still sends before a deadline."""
        if self._unacknowledged:
            self._acknowledge(limits)
        self._child.interrupt()
        ends = time.monotonic() + _INTERRUPTED_S
        while not isinstance(message := self._receive(ends - time.monotonic()), RunEnd):
            if isinstance(message, TrialRecord):
                running.remove(message)
                yield message
                self._acknowledge(limits)
            else:
                running.note(message)

    def _receive(self, timeout_s: float, waits: int = 1) -> Any:
        """Return the next message, or raise the error that Ray's process sent."""
        message = self._child.receive(timeout_s, waits)
        if isinstance(message, RunEnd) and message.error is not None:
            raise message.error
        return message

    def _shut_down(self) -> None:
        """Have the process shut Ray down."""
        self._child.close_pipe(0.0 if self._lost else _SHUTDOWN_S)


def main() -> None:
    """Serve the run at the other end of the pipe whose descriptor the command line names."""
    # The run's process receives these signals and notifies this one by SIGINT. Ray handles the
    # others.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGHUP))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    pipe = RunPipe(Connection(int(sys.argv[1])))
    # If the run's process has gone, this process just ends.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            _serve(pipe)
        except BaseException as error:
            pipe.send(RunEnd.by(error))


def _serve(pipe: RunPipe) -> None:
    from bench.execution.ray_backend.process.ray_watchdog import watch
    from bench.execution.ray_backend.ray_executor import RayExecutor

    setup: RaySetup = pipe.receive()
    options = setup.address, setup.device, setup.modules, setup.network, setup.folder
    with RayExecutor(*options) as executor:
        try:
            blocks, environment = executor.parallel_blocks, executor.environment()
            pipe.send(ClusterDevices(blocks, executor.uses_gpus, executor.gpus, environment))
            request: RunRequest = pipe.receive()
            watchdog = threading.Thread(target=watch, args=[executor, pipe.send], daemon=True)
            watchdog.start()
            while True:
                _run(pipe, executor, request)
                pipe.send(RunEnd())
                request = pipe.receive()
        except EOFError:
            return
        except BaseException as error:
            failed = RunEnd.by(error)
        # Sent before Ray shuts down, which may take time.
        pipe.send(failed)


def _run(pipe: RunPipe, executor: "RayExecutor", request: RunRequest) -> None:
    newest_reason = request.limits.skip_reason

    def keep(record: TrialRecord) -> None:
        nonlocal newest_reason
        pipe.send(record)
        newest_reason = pipe.receive()

    def skip_reason(trial: Trial) -> str | None:
        return newest_reason(trial)

    limits = dataclasses.replace(request.limits, skip_reason=skip_reason)
    drain(executor.run(request.blocks, limits, pipe.send), keep)


if __name__ == "__main__":
    main()
