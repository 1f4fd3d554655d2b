"""Messages between a run's process and its process for Ray, pickled through a private pipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.execution.executor import Limits
from bench.spec.device import RequestedDevice
from bench.spec.plan import Block


@dataclass(frozen=True)
class RaySetup:
    """How to start or join Ray."""

    address: str | None
    device: RequestedDevice
    modules: tuple[Path, ...] = ()
    """Files and packages beside the suite's file that trials import."""
    network: str | None = None
    """The network over which workers on several nodes communicate."""
    folder: Path | None = None
    """A private folder for a local Ray, made and removed by the run's process."""


@dataclass(frozen=True)
class ClusterDevices:
    """The devices and nodes, once Ray has answered."""

    parallel_blocks: int
    uses_gpus: bool
    gpus: tuple[str, ...]
    environment: Mapping[str, Any]


@dataclass(frozen=True)
class RunRequest:
    """The blocks to run. The run's process answers each record with the newest ``skip_reason``."""

    blocks: Sequence[Block]
    limits: Limits


@dataclass(frozen=True)
class ProcessHeartbeat:
    """A heartbeat: Ray's process is alive, whatever it waits for."""


@dataclass(frozen=True)
class RunEnd:
    """The last message: all blocks have run, or ``error`` was raised."""

    error: BaseException | None = None
