"""What a run's process and its process for Ray tell each other, pickled through a private pipe."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.execution.executor import Limits
from bench.spec.plan import Block, Trial

Device = Literal["auto", "cpu", "gpu"]
Needless = Callable[[Trial], str | None]


@dataclass(frozen=True)
class Setup:
    """What Ray is to be asked for."""

    address: str | None
    device: Device
    modules: tuple[Path, ...] = ()
    """Files and packages beside the suite's file that trials import."""
    network: str | None = None
    """Where workers on several nodes reach each other."""
    folder: Path | None = None
    """A private one for a Ray of this machine, made and removed by the run's process."""


@dataclass(frozen=True)
class Ready:
    """What there is, once Ray has answered."""

    lanes: int
    uses_gpus: bool
    gpus: tuple[str, ...]
    environment: Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """What is to be run. After each record, the newest ``needless`` follows."""

    blocks: Sequence[Block]
    limits: Limits


@dataclass(frozen=True)
class Alive:
    """Ray's process is at work, whatever it waits for."""


@dataclass(frozen=True)
class Ended:
    """No more comes: all has run, or ``error`` was raised."""

    error: BaseException | None = None
