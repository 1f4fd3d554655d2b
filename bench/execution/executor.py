"""The contract of executors, which run trials.

Usage:
    with make_executor("ray") as executor:
        for record in executor.run(blocks, limits, on_event):
            folder.write(record)

An executor yields each record as soon as its trial ends, whatever its status. It raises an error
only if it cannot run anything. On KeyboardInterrupt it first yields the records of the running
trials, as interrupted, and then lets the exception pass. It does the same if the exception is
thrown into it between two records.
"""

import contextlib
import functools
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from bench.execution.estimation.device_memory import MemoryNeed
from bench.execution.estimation.estimator import Estimate
from bench.execution.gpus.device_kind import DeviceKind
from bench.execution.prepared_environment import PreparedEnvironment
from bench.execution.signals import defer_signals
from bench.records.epoch_record import EpochRecord
from bench.records.stopping_record import Stopping
from bench.records.trial_record import ExcludedGpus, TrialRecord
from bench.spec.expand import Duplicate
from bench.spec.pairing import LostBaseline
from bench.spec.plan import Block, Trial
from bench.spec.turn_settings import DEFAULT_TURN_S, TurnMode


def no_reason(_trial: Trial) -> None:
    """Give no reason to skip a trial."""


@dataclass(frozen=True)
class Limits:
    """What a run sets for its trials: time limits, retries, turns, and what they run under."""

    trial_timeout_s: float
    stall_timeout_s: float = 900.0
    """How long a trial may run without finishing a window of steps or another stage."""
    retries: int = 1
    placement_timeout_s: float = 3600.0
    """How long a block waits for devices that other work occupies."""
    skip_reason: Callable[[Trial], str | None] = no_reason
    """Returns why a trial would run out of memory and must not start; called when it is due."""
    turns: TurnMode = "window"
    """What an arm of a block trains while the others wait."""
    turn_s: float = DEFAULT_TURN_S
    """The shortest turn of windows."""
    environments: Mapping[str, PreparedEnvironment] = field(default_factory=dict)
    """What trials run under, by the names in the suite."""


@dataclass(frozen=True)
class TrialStart:
    """A trial was assigned to a worker."""

    trial: Trial
    where: str
    logs: tuple[str, ...] = ()
    """Paths of its workers' logs on their nodes; the logs of finished epochs are beside them."""


@dataclass(frozen=True)
class EpochEnd:
    """A trial has finished an epoch."""

    trial_id: str
    epoch: EpochRecord


@dataclass(frozen=True)
class BlockWait:
    """A block waits for devices that other work occupies; sent once."""

    trial: Trial
    """The block's first trial."""
    reason: str
    """Which resources the block requests, and which are free."""


@dataclass(frozen=True)
class Forecast:
    """What to expect of the trials; sent before the first."""

    device: DeviceKind
    """The device that they run on."""
    estimates: Mapping[str, Estimate]
    """The time of a trial, by variant id."""
    too_large: Mapping[str, MemoryNeed]
    """Variants that are unlikely to fit the device's memory, by id; the run tries them anyway."""
    open_jit: frozenset[str] = frozenset()
    """Ids of variants for which the suite does not set ``jit``, so that a default was chosen."""
    duplicates: tuple[Duplicate, ...] = ()
    """Variants of the suite that train like others, and are therefore not run."""
    lost: tuple[LostBaseline, ...] = ()
    """Baselines that the suite's ``only`` excludes."""


@dataclass(frozen=True)
class WarmUpStart:
    """GPUs compile the code that trials will use, untimed, before the first trial."""

    nodes: int
    programs: int
    """Number of kinds of trials that are started on each node."""


@dataclass(frozen=True)
class RunWarning:
    """Something makes a run's times unreliable; sent before the first trial."""

    reason: str
    """In one line."""


@dataclass(frozen=True)
class WarmUpFailure:
    """Some programs were not warmed up on a node: the first trials that use them compile them."""

    node: str
    programs: int
    reason: str
    """Why the first of them was not warmed up."""


@dataclass(frozen=True)
class FurtherBlocks:
    """The run adds blocks."""

    count: int
    stopping: Stopping | None = None
    """Set if intervals are not narrow enough yet; else the blocks replace spoiled ones."""


@dataclass(frozen=True)
class SetupStart:
    """The setup of an environment starts, before any trial; it may take minutes."""

    environment: str
    command: str


@dataclass(frozen=True)
class OpenServer:
    """Trials with several workers open TensorFlow's server, which requires no password."""

    network: str | None = None
    """None if the workers of each trial run on one machine, whose users can reach them."""
    addresses: tuple[str, ...] = ()
    """Each node's address in the network: connections from other addresses are dropped."""


Event = (
    TrialStart
    | EpochEnd
    | BlockWait
    | Forecast
    | WarmUpStart
    | WarmUpFailure
    | ExcludedGpus
    | RunWarning
    | OpenServer
    | FurtherBlocks
    | SetupStart
)
"""``ExcludedGpus``: the run no longer uses these GPUs."""
OnEvent = Callable[[Event], None]


class Executor(Protocol):
    """An object that runs trials."""

    name: str

    @property
    def devices_allotted(self) -> bool:
        """Whether an existing Ray allots the devices, so that no other run gets the same ones."""

    def __enter__(self) -> Self:
        """Acquire the resources; ResourceError if they are not available."""

    def __exit__(self, *_: object) -> None:
        """Give the resources back; end every process that was started."""

    @property
    def parallel_blocks(self) -> int:
        """How many blocks run at once."""

    @property
    def uses_gpus(self) -> bool:
        """Whether trials run on GPUs."""

    @property
    def gpus(self) -> tuple[str, ...]:
        """UUIDs of the GPUs that trials may get; empty if no driver names them."""

    def environment(self) -> Mapping[str, Any]:
        """Return the environment of each node that trials run on, by the node's name."""

    def run(
        self, blocks: Sequence[Block], limits: Limits, on_event: OnEvent
    ) -> Generator[TrialRecord, None, None]:
        """Run the trials of each block in order on one set of devices; yield their records.

        May be called again, with further blocks, once an earlier call has ended.
        """


def drain(records: Generator[TrialRecord, None, None], keep: Callable[[TrialRecord], None]) -> None:
    """Pass each record to ``keep``; throw an interrupt that arrives meanwhile into the executor."""
    advance: Callable[[], TrialRecord] = records.__next__
    with contextlib.closing(records), contextlib.suppress(StopIteration):
        while True:
            record = advance()
            with defer_signals() as signals:
                keep(record)
            if signals:
                advance = functools.partial(records.throw, KeyboardInterrupt())
            else:
                advance = records.__next__
