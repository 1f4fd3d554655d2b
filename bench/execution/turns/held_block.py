"""Run a block on the devices that this process holds, from its data to its records.

Usage:
    setups = [ArmSetup(trial, threads=2, arrays=arrays, log=log), ...]
    for event in run_held_block(setups, TurnSettings(), limits, free_bytes): ...

The arms share one preloader and one copy of their data. Arms whose interpreters, packages or
variables differ have a preloader each, since libraries read variables when they are imported.
"""

import contextlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.datasets.arrays import Arrays
from bench.errors import HelperError
from bench.execution.executor import Limits
from bench.execution.prepared_environment import DEFAULT, PreparedEnvironment
from bench.execution.trial_processes.preloader_client import PreloaderClient
from bench.execution.turns.arm_run import ArmStart, Event
from bench.execution.turns.coordinator import TurnSettings, run_block
from bench.execution.turns.memory_room import FreeBytes
from bench.execution.turns.process_arm import ProcessArm
from bench.protocol.messages import StartTrial
from bench.protocol.shared_arrays import SharedArrays
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Trial


@dataclass(frozen=True)
class ArmSetup:
    """A trial, and what its process gets."""

    trial: Trial
    threads: int
    arrays: Arrays
    log: Path
    """The file for its output."""
    variables: Mapping[str, str | None] = field(default_factory=dict)
    """Variables of its preloader; those that are None are unset."""
    late_variables: Mapping[str, str | None] = field(default_factory=dict)
    """Variables that only the process itself needs."""
    gpus: tuple[str, ...] = ()
    """The GPUs that TensorFlow must see."""
    cores: tuple[int, ...] | None = None
    """Logical cores to run on; None leaves those of this process."""
    modules: tuple[Path, ...] = ()
    """The files and packages of custom workloads."""
    environment: PreparedEnvironment = DEFAULT
    """What its process runs under; its variables are in ``variables``."""


@dataclass(frozen=True)
class PreloaderProgram:
    """What a preloader imports, and the module whose ``serve`` its processes run."""

    modules: tuple[str, ...] = ("bench.training.trial",)
    child: str = "bench.training.trial_process.child"


def run_held_block(
    setups: Sequence[ArmSetup],
    settings: TurnSettings,
    limits: Limits,
    free_bytes: FreeBytes,
    program: PreloaderProgram | None = None,
) -> Generator[Event, None, None]:
    """Train the trials of ``setups``; yield what happens, as ``run_block`` does.

    If the processes cannot be started or memory does not hold the data, each trial gets a record
    that says why: lost if something killed the preloader, which another try may survive.
    """
    program = program or PreloaderProgram()
    with contextlib.ExitStack() as stack:
        try:
            block = _Block(stack, setups, program)
        except HelperError as error:
            status: Status = "worker_lost" if error.was_killed else "failed"
            yield from _not_started(setups, status, str(error))
            return
        except OSError as error:
            reason = f"memory does not hold the data: {error.strerror}"
            yield from _not_started(setups, "out_of_memory", reason)
            return
        yield from run_block(block.arms, settings, limits, free_bytes)


class _Block:
    """The arms of a block, their preloaders and their data, which ``stack`` ends."""

    def __init__(
        self, stack: contextlib.ExitStack, setups: Sequence[ArmSetup], program: PreloaderProgram
    ) -> None:
        self._stack, self._program = stack, program
        self._preloaders: dict[Any, PreloaderClient] = {}
        self._shared: dict[int, SharedArrays] = {}
        self.arms = [self._arm(setup) for setup in setups]

    def _arm(self, setup: ArmSetup) -> ProcessArm:
        preloader, shared = self._preloader(setup), self._shared_arrays(setup.arrays)
        request = StartTrial(
            trial=setup.trial,
            data=shared.layout,
            threads=setup.threads,
            gpus=setup.gpus,
            cores=setup.cores,
            variables=dict(setup.late_variables),
            modules=tuple(map(str, setup.modules)),
        )
        return ProcessArm(preloader, request, shared.descriptor, setup.log)

    def _preloader(self, setup: ArmSetup) -> PreloaderClient:
        variables, environment = setup.variables, setup.environment
        key = environment.interpreter, environment.package, tuple(sorted(variables.items()))
        if key not in self._preloaders:
            client = PreloaderClient(
                interpreter=environment.interpreter,
                package=environment.package,
                variables=variables,
                modules=self._program.modules,
                child=self._program.child,
            )
            self._preloaders[key] = self._stack.enter_context(client)
        return self._preloaders[key]

    def _shared_arrays(self, arrays: Arrays) -> SharedArrays:
        key = id(arrays)
        if key not in self._shared:
            self._shared[key] = self._stack.enter_context(SharedArrays(arrays))
        return self._shared[key]


def _not_started(setups: Sequence[ArmSetup], status: Status, reason: str) -> Iterator[Event]:
    for setup in setups:
        yield ArmStart(setup.trial)
        yield TrialRecord(trial=setup.trial, status=status, error=reason, wall_s=0.0)
