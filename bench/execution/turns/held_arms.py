"""Start the arms of a block on the devices that this process holds.

Usage:
    with HeldArms() as held:
        arms = [held.arm(ArmSetup(trial, threads=2, log=log), data), ...]
        list(run_block(arms, TurnSettings(), limits, free_bytes))

The arms share one preloader and one copy of their data. Arms whose interpreters, packages or
variables differ have a preloader each, since libraries read variables when they are imported.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from bench.errors import HelperError, ResourceError
from bench.execution.prepared_environment import DEFAULT, PreparedEnvironment
from bench.execution.trial_processes.preloader_client import PreloaderClient
from bench.execution.turns.arm_data import ArmData, MemoryShortageError, share
from bench.execution.turns.process_arm import ProcessArm
from bench.protocol.messages import StartTrial
from bench.protocol.shared_arrays import SharedArrays
from bench.records.trial_failure import TrialFailure
from bench.spec.plan import Trial


@dataclass(frozen=True)
class ArmSetup:
    """A trial, and what its process, or that of one of its workers, gets."""

    trial: Trial
    threads: int
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
    position: int = 0
    """The number of a worker among those of its trial on these devices."""
    kept: tuple[int, ...] = ()
    """Descriptors that its process keeps open until it ends."""
    environment: PreparedEnvironment = DEFAULT
    """What its process runs under; its variables are in ``variables``."""
    empty_folder: Path | None = None
    """A folder that has to be empty whenever its process starts."""


@dataclass(frozen=True)
class PreloaderProgram:
    """What a preloader imports, and the module whose ``serve`` its processes run."""

    modules: tuple[str, ...] = ("bench.training.trial",)
    child: str = "bench.training.trial_process.child"


class HeldArms:
    """The preloaders and the data of a block's arms, which end with the block."""

    def __init__(self, program: PreloaderProgram | None = None) -> None:
        self._program = program or PreloaderProgram()
        self._stack = contextlib.ExitStack()
        self._preloaders: dict[Any, PreloaderClient] = {}
        self._shared: dict[str, SharedArrays] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def arm(self, setup: ArmSetup, data: ArmData) -> ProcessArm:
        """Return the arm of ``setup``, which trains on ``data``.

        HelperError without a preloader, MemoryShortageError or OSError without memory.
        """
        preloader, shared = self._preloader(setup), self._shared_arrays(data)
        request = StartTrial(
            trial=setup.trial,
            data=shared.layout,
            threads=setup.threads,
            gpus=setup.gpus,
            cores=setup.cores,
            variables=dict(setup.late_variables),
            modules=tuple(map(str, setup.modules)),
        )
        return ProcessArm(
            preloader, request, shared.descriptor, setup.log, setup.kept, setup.empty_folder
        )

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

    def _shared_arrays(self, data: ArmData) -> SharedArrays:
        if data.key not in self._shared:
            self._shared[data.key] = self._stack.enter_context(share(data))
        return self._shared[data.key]


def start_failure(error: HelperError | OSError | ResourceError) -> TrialFailure:
    """Return the failure of trials whose arms cannot be made because of ``error``.

    They are lost if something killed the preloader, which another try may survive.
    """
    match error:
        case HelperError(was_killed=True):
            return TrialFailure("worker_lost", str(error))
        case MemoryShortageError():
            return TrialFailure("out_of_memory", str(error))
        case OSError():
            reason = f"memory does not hold the data: {error.strerror}"
            return TrialFailure("out_of_memory", reason)
        case _:
            return TrialFailure("failed", str(error))
