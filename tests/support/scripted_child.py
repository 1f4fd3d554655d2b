"""A trial process that trains nothing and does what its trial's label says.

Usage:
    with PreloaderClient(modules=(), child="tests.support.scripted_child") as preloader:
        process = preloader.start()
        process.send(start_trial("hang"), [data, log])
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.protocol.message_stream import MessageStream
from bench.protocol.messages import (
    MAX_LINE_BYTES,
    DataLayout,
    ProcessStart,
    StartTrial,
    TrialEnd,
    TrialStarted,
    Turn,
    TurnEnd,
)
from bench.records.trial_record import TrialRecord
from tests.support.sample_trials import trial_labelled


def start_trial(action: str) -> StartTrial:
    """Return a message that makes ``serve`` perform ``action``."""
    layout = DataLayout(arrays={}, classes=0, real=False)
    return StartTrial(trial=trial_labelled(action), data=layout, threads=1)


def serve(stream: MessageStream, process_start: ProcessStart) -> None:
    """Announce the process, then do what the trial says."""
    stream.send(TrialStarted(pid=os.getpid(), process_start=process_start, python="3"))
    request = stream.receive()
    if not isinstance(request, StartTrial):
        return
    action, _, argument = request.trial.label.partition(":")
    _ACTIONS[action](stream, argument, request)


def _complete(stream: MessageStream, _argument: str, request: StartTrial) -> None:
    stream.send(TrialEnd(record=TrialRecord(trial=request.trial, status="completed")))


def _linger(stream: MessageStream, _argument: str, request: StartTrial) -> None:
    """End as a worker with peers does, which waits for the holder."""
    _take_turns(stream, "", request)
    stream.receive()


def _take_turns(stream: MessageStream, _argument: str, request: StartTrial) -> None:
    stream.send(TurnEnd(epoch=0, share=0.0, windows=2))
    while isinstance(turn := stream.receive(), Turn):
        if turn.until_share == 1.0:
            _complete(stream, "", request)
            return
        stream.send(TurnEnd(epoch=turn.epoch, share=turn.until_share, windows=2))


def _write(stream: MessageStream, argument: str, _request: StartTrial) -> None:
    content = {
        "rubbish": b"\x00\xff rubbish\n",
        "version": b'{"protocol":9,"type":"Turn"}\n',
        "half": b'{"protocol":2,"type":"Tu',
        "torn": b'{"protocol":2,"type":"Tu',
        "long": b"x" * (MAX_LINE_BYTES + 2**16),
    }[argument]
    _socket_of(stream).sendall(content)
    if argument == "torn":
        os.kill(os.getpid(), signal.SIGSEGV)
    if argument != "half":
        time.sleep(600)


def _socket_of(stream: MessageStream) -> Any:
    return vars(stream)["_connection"]


def _raise_signal(_stream: MessageStream, argument: str, _request: StartTrial) -> None:
    os.kill(os.getpid(), signal.Signals[argument])
    time.sleep(600)


def _abort(stream: MessageStream, argument: str, _request: StartTrial) -> None:
    _, log = stream.take_descriptors(2)
    os.write(log, argument.encode())
    os.abort()


def _leave_helper(stream: MessageStream, _argument: str, request: StartTrial) -> None:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    _complete(stream, "", request)


_ACTIONS: dict[str, Callable[[MessageStream, str, StartTrial], Any]] = {
    "complete": _complete,
    "linger": _linger,
    "turns": _take_turns,
    "write": _write,
    "signal": _raise_signal,
    "abort": _abort,
    "helper": _leave_helper,
    "exit": lambda _stream, argument, _request: os._exit(int(argument)),
    "hang": lambda *_: time.sleep(600),
    "raise": lambda *_: 1 // 0,
}
