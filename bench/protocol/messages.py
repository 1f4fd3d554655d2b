"""Define the messages between a holder of devices, its preloader and its trial processes.

Usage:
    line = encode(Turn(round=0, epoch=0, until_share=0.25))     # bytes that end with a newline
    message = decode(line)                                      # MessageError if it is none

Each message is one line: a JSON object with ``protocol``, ``type`` and the fields of its class.
The three conversations, in order:

    holder to preloader      Preload, then StartProcess with one descriptor: the process's socket
    preloader to holder      Preloaded; ProcessStarted with one descriptor: the process's pidfd;
                             ProcessExited
    holder to process        StartTrial with two descriptors, the data and the log, and others that
                             the process only keeps open; Turn
    process to holder        TrialStarted, then HeartbeatCount, EpochTrained and TurnEnd in any
                             order, at last TrialEnd

A receiver refuses a message of another protocol version, of an unknown type or with other fields.
Either side may end a conversation at any time by closing its socket.
"""

import json
import os
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.records.epoch_record import EpochRecord
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial

PROTOCOL = 2
"""Increased with each change of a message, which a new axis of a variant is, too."""
MAX_LINE_BYTES = 64 * 2**20
"""A record of 20,000 epochs takes about a sixth of this."""

INVALID_MESSAGE_EXIT = os.EX_PROTOCOL
"""Exit code of a trial process whose holder sent an invalid message; its log ends with the line
that says so."""

ProcessStart = Literal["fork", "spawn"]
"""How a trial process began: as a copy of its preloader, or as a new interpreter."""

_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0.0, le=1.0)]


class MessageError(Exception):
    """A peer sent an invalid message; the text says why."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Preload(_Message):
    """Import ``modules``, and start processes that run ``serve`` of the module ``child``."""

    modules: tuple[str, ...]
    child: str


class Preloaded(_Message):
    """The modules are imported, and processes can be started."""

    process_start: ProcessStart
    reason: str | None = None
    """Why processes are spawned; None if they are forked."""
    import_s: _Seconds
    """Time of the imports."""


class StartProcess(_Message):
    """Start a trial process, which holds the socket sent with this message."""

    number: _Count
    """Identifies the process in the preloader's answers."""


class ProcessStarted(_Message):
    """A trial process runs; its pidfd is sent with this message."""

    number: _Count
    pid: _Count


class ProcessExited(_Message):
    """A trial process has ended, and no process of its group is left."""

    number: _Count
    code: int
    """Exit code, or the negative number of the signal that ended it."""
    peak_rss_bytes: _Count
    cpu_s: _Seconds
    """User and system time of all its threads."""


class ArrayLayout(_Message):
    """Where an array lies in shared memory: C-contiguous, from ``offset`` bytes on."""

    dtype: Literal["uint8", "int32"]
    shape: tuple[_Count, ...]
    offset: _Count


class DataLayout(_Message):
    """The arrays of a dataset in the shared memory that is sent with StartTrial."""

    arrays: dict[str, ArrayLayout]
    """By the name of the field of ``bench.datasets.arrays.Arrays``."""
    classes: _Count
    real: bool


class StartTrial(_Message):
    """Train ``trial``. The descriptors of its data and of its log are sent with this message."""

    trial: Trial
    data: DataLayout
    threads: Annotated[int, Field(ge=1)]
    gpus: tuple[str, ...] = ()
    """The GPUs that TensorFlow must see."""
    cores: tuple[_Count, ...] | None = None
    """Logical cores to run on; None leaves the inherited ones."""
    variables: dict[str, str | None] = {}
    """Environment variables to set, or to unset where the value is None.

    What libraries read when they are imported must be set for the preloader instead.
    """
    modules: tuple[str, ...] = ()
    """Absolute paths of the files and packages of custom workloads."""
    heartbeat_s: Annotated[float, Field(gt=0.0)] = 5.0
    """Interval at which the process sends its heartbeat count if that has changed."""


class Turn(_Message):
    """Train until ``until_share`` of the epoch ``epoch`` is done, then wait for the next turn.

    A turn to the end of an epoch includes the validation after it, a turn to the end of the last
    epoch also the test.
    """

    round: _Count | None
    """None if the arms of the block train one after another."""
    epoch: _Count
    until_share: _Share

    def includes(self, epoch: int, share: float) -> bool:
        """Return whether a window may start where ``share`` of ``epoch`` is done."""
        return (epoch, share) < (self.epoch, self.until_share)


class TrialStarted(_Message):
    """The first message of a trial process."""

    pid: _Count
    process_start: ProcessStart
    python: str
    """Version of the interpreter."""


class HeartbeatCount(_Message):
    """How many stages and windows the trial has finished (``bench.training.loop.heartbeat``)."""

    count: _Count


class EpochTrained(_Message):
    """The trial has finished an epoch."""

    record: EpochRecord


class TurnEnd(_Message):
    """The trial waits for a turn; its first TurnEnd says that it is ready to train."""

    epoch: _Count
    """The epoch of its next window."""
    share: _Share
    """The share of that epoch that is done: its steps so far divided by all its steps."""
    windows: Annotated[int, Field(ge=1)]
    """In how many windows an epoch can be divided between turns."""


class TrialEnd(_Message):
    """The last message of a trial process: the trial's record."""

    record: TrialRecord


Message = (
    Preload
    | Preloaded
    | StartProcess
    | ProcessStarted
    | ProcessExited
    | StartTrial
    | Turn
    | TrialStarted
    | HeartbeatCount
    | EpochTrained
    | TurnEnd
    | TrialEnd
)
_TYPES: dict[str, Any] = {kind.__name__: kind for kind in get_args(Message)}


def encode(message: Message) -> bytes:
    """Return the line of ``message``; MessageError if it is too long to be received."""
    fields = message.model_dump_json()[1:]
    head = f'{{"protocol":{PROTOCOL},"type":"{type(message).__name__}"'
    line = f"{head}{'' if fields == '}' else ','}{fields}\n".encode()
    if len(line) > MAX_LINE_BYTES:
        raise MessageError(f"a message of {len(line)} bytes, but {MAX_LINE_BYTES} is the most")
    return line


def decode(line: bytes) -> Message:
    """Return the message of ``line``; MessageError names what is wrong with it."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise MessageError(f"invalid JSON: {_shown(line)}") from None
    if not isinstance(fields, dict):
        raise MessageError(f"not a JSON object: {_shown(line)}")
    version = fields.pop("protocol", None)
    if version != PROTOCOL:
        raise MessageError(f"protocol {version!r:.40}, but this process speaks {PROTOCOL}")
    name = fields.pop("type", None)
    kind = _TYPES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise MessageError(f"a message of unknown type {name!r:.40}")
    try:
        message: Message = kind.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise MessageError(f"{name} with {where or 'its fields'}: {fault['msg']}") from None
    return message


def _shown(line: bytes) -> str:
    """Return the start of ``line`` for an error of one line."""
    return repr(line[:60])[1:]
