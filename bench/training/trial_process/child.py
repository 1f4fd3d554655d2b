"""Train one trial in the process that a preloader has started for it.

Usage:
    serve(stream, "fork")          # receives the trial, sends its progress and its record

Output goes to the log that comes with the trial. If the holder closes its end, the process and all
that it has started are killed: nobody would receive the record.
"""

import contextlib
import os
import platform
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from bench.datasets.arrays import Arrays
from bench.files.module_finder import install_finder
from bench.protocol.message_stream import MessageStream
from bench.protocol.messages import (
    INVALID_MESSAGE_EXIT,
    EpochTrained,
    HeartbeatCount,
    MessageError,
    ProcessStart,
    StartTrial,
    TrialEnd,
    TrialStarted,
    Turn,
)
from bench.protocol.shared_arrays import map_arrays
from bench.records.epoch_record import EpochRecord
from bench.training.loop.heartbeat import Heartbeat
from bench.training.trial_process.turn_taker import TurnTaker


def serve(stream: MessageStream, process_start: ProcessStart) -> None:
    """Receive a trial, train it, and send its record; end with the holder."""
    stream.send(
        TrialStarted(pid=os.getpid(), process_start=process_start, python=platform.python_version())
    )
    request = stream.receive()
    if not isinstance(request, StartTrial):
        return
    data, log = stream.take_descriptors(2)
    _redirect_output(log)
    _prepare(request)
    turns = TurnTaker(stream.send)
    receiver = threading.Thread(target=_receive, args=[stream, turns], daemon=True)
    receiver.start()
    # Imported after the variables are set: a spawned process imports TensorFlow only here.
    from bench.training.cuda.nccl_log import nccl_log
    from bench.training.trial import train

    heartbeat = Heartbeat()

    def load() -> Arrays:
        arrays = map_arrays(data, request.data)
        heartbeat.count += 1
        return arrays

    def on_epoch(epoch: EpochRecord) -> None:
        stream.send(EpochTrained(record=epoch))

    several_gpus = len(request.gpus) > 0 and request.trial.variant.total_replicas > 1
    with (
        _heartbeats(stream, heartbeat, request.heartbeat_s),
        nccl_log(several_gpus) as nccl_transport,
    ):
        record = train(
            request.trial, load, request.threads, on_epoch, heartbeat, request.gpus, turns
        )
        context = {"process_start": process_start, "nccl_transport": nccl_transport()}
    resolved = {**record.resolved, **context}
    stream.send(TrialEnd(record=record.model_copy(update={"resolved": resolved})))
    if request.trial.variant.workers > 1:
        # Its peers may still need it; the holder ends all of them together.
        receiver.join()


def _prepare(request: StartTrial) -> None:
    """Set the process's variables and cores, and make custom workloads importable."""
    for name, value in request.variables.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    if request.cores is not None:
        # All threads: libraries have started some during their import.
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), request.cores)
    install_finder([Path(module) for module in request.modules])


def _redirect_output(log: int) -> None:
    """Write this process's output to ``log``, including that of C++ code."""
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _receive(stream: MessageStream, turns: TurnTaker) -> None:
    """Pass on turns until the holder has gone, then end this process and its group.

    The thread that trains may be in a call that nothing can interrupt.
    """
    try:
        while (message := stream.receive()) is not None:
            if isinstance(message, Turn):
                turns.give(message)
    except MessageError as error:
        print(f"its holder sent {error}", file=sys.stderr, flush=True)
        os._exit(INVALID_MESSAGE_EXIT)
    finally:
        os.killpg(0, signal.SIGKILL)


@contextlib.contextmanager
def _heartbeats(stream: MessageStream, heartbeat: Heartbeat, interval_s: float) -> Iterator[None]:
    """Send the heartbeat count at each interval in which it has changed."""
    over = threading.Event()

    def watch() -> None:
        sent = -1
        while not over.wait(interval_s):
            if heartbeat.count != sent:
                sent = heartbeat.count
                stream.send(HeartbeatCount(count=sent))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
