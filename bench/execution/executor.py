"""The contract of everything that can run trials.

Usage:
    with make_executor() as executor:
        for record in executor.run(blocks, limits, on_event):
            folder.write(record)

A record comes as soon as its trial ends, whatever became of it: an executor raises only
where it cannot run anything at all. On KeyboardInterrupt it first gives the records of what
it was running, as interrupted, and then lets the exception through; so it does where the
exception is thrown into it between two records.
"""

import contextlib
import functools
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from bench.execution.estimation.estimator import Estimate
from bench.execution.gpus.device_kind import DeviceKind
from bench.execution.gpus.device_memory import MemoryNeed
from bench.execution.signals import defer_signals
from bench.records.epoch_record import EpochRecord
from bench.records.trial_record import ExcludedGpus, TrialRecord
from bench.spec.expand import Duplicate
from bench.spec.pairing import LostBaseline
from bench.spec.plan import Block, Trial


def _never(_trial: Trial) -> None:
    return None


@dataclass(frozen=True)
class Limits:
    """What a trial may take before it is ended, how often it is tried, whether it is at all."""

    trial_timeout_s: float
    stall_timeout_s: float = 900.0
    """How long a trial may go without finishing a window of steps or another stage."""
    retries: int = 1
    placement_timeout_s: float = 3600.0
    """How long a block waits for its devices where somebody else's work holds them."""
    skip_reason: Callable[[Trial], str | None] = _never
    """Why a trial would be out of memory, asked as its turn comes; it is not started then."""


@dataclass(frozen=True)
class Started:
    """A trial was given to a worker."""

    trial: Trial
    where: str
    logs: tuple[str, ...] = ()
    """Of its workers, on their nodes; what they have finished stands beside them."""


@dataclass(frozen=True)
class EpochEnded:
    """A trial has finished an epoch."""

    trial_id: str
    epoch: EpochRecord


@dataclass(frozen=True)
class Waiting:
    """A block waits for devices that others hold; told once."""

    trial: Trial
    """The first of the block."""
    reason: str
    """What was asked for, and what is free."""


@dataclass(frozen=True)
class Expected:
    """What is expected of the trials to come, told before the first."""

    device: DeviceKind
    """What they run on."""
    estimates: Mapping[str, Estimate]
    """The time of a trial, by variant id."""
    too_large: Mapping[str, MemoryNeed]
    """Variants that are unlikely to fit the device's memory, by id; they are tried all the same."""
    open_jit: frozenset[str] = frozenset()
    """Ids of variants whose ``jit`` the suite does not say, so that it was chosen."""
    duplicates: tuple[Duplicate, ...] = ()
    """Variants of the suite that train like others, and are not run beside them."""
    lost: tuple[LostBaseline, ...] = ()
    """Baselines that the suite's ``only`` leaves out."""


@dataclass(frozen=True)
class WarmingUp:
    """GPUs have the code that trials will use compiled, untimed, before the first of them."""

    nodes: int
    programs: int
    """Kinds of trials that are begun on each node."""


@dataclass(frozen=True)
class Warned:
    """Something makes the times of a run doubtful, told before the first trial."""

    reason: str
    """In one line."""


@dataclass(frozen=True)
class NotWarmedUp:
    """A node has programs that were not warmed up: the first trials that use them compile them."""

    node: str
    programs: int
    reason: str
    """Of the first of them."""


@dataclass(frozen=True)
class Opened:
    """Trials with several workers open TensorFlow's server, which asks for no password."""

    network: str | None = None
    """None where the workers of each trial stand on one machine, whose users reach them."""
    addresses: tuple[str, ...] = ()
    """In the network, of each node: what comes from anywhere else is dropped."""


Event = (
    Started
    | EpochEnded
    | Waiting
    | Expected
    | WarmingUp
    | NotWarmedUp
    | ExcludedGpus
    | Warned
    | Opened
)
"""``ExcludedGpus``: from now on a run does not use these GPUs."""
OnEvent = Callable[[Event], None]


class Executor(Protocol):
    """Something that can run trials."""

    name: str

    @property
    def devices_allotted(self) -> bool:
        """Whether no other run gets the same devices, since a Ray that was there allots them."""

    def __enter__(self) -> Self:
        """Take what is needed; ResourceError where that cannot be had."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back; end every process that was started."""

    @property
    def lanes(self) -> int:
        """How many blocks run at once."""

    @property
    def uses_gpus(self) -> bool:
        """Whether trials run on GPUs."""

    @property
    def gpus(self) -> tuple[str, ...]:
        """UUIDs of the GPUs that trials may get; empty where no driver names them."""

    def environment(self) -> Mapping[str, Any]:
        """The environment of each node that trials run on, by the node's name."""

    def run(
        self, blocks: Sequence[Block], limits: Limits, on_event: OnEvent
    ) -> Generator[TrialRecord, None, None]:
        """Run the trials of each block in order on one set of devices; their records."""


def drain(records: Generator[TrialRecord, None, None], keep: Callable[[TrialRecord], None]) -> None:
    """Hand each record to ``keep``. An interrupt that comes meanwhile goes to the executor."""
    advance: Callable[[], TrialRecord] = records.__next__
    with contextlib.closing(records), contextlib.suppress(StopIteration):
        while True:
            record = advance()
            with defer_signals() as came:
                keep(record)
            if came:
                advance = functools.partial(records.throw, KeyboardInterrupt())
            else:
                advance = records.__next__
