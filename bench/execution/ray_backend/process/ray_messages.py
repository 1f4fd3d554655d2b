"""Messages between a run's process and its process for Ray, pickled through a private pipe.

``ray_process`` shows their order.
"""

import pickle
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from bench.execution.executor import Limits
from bench.execution.signals import defer_signals
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
    """Blocks to run. The run's process answers each record with the newest ``skip_reason``."""

    blocks: Sequence[Block]
    limits: Limits


@dataclass(frozen=True)
class ProcessHeartbeat:
    """A heartbeat: Ray's process is alive, whatever it waits for."""


@dataclass(frozen=True)
class RunEnd:
    """All blocks of a request have run, or ``error`` was raised."""

    error: BaseException | None = None

    @classmethod
    def by(cls, error: BaseException) -> Self:
        """Return the end by ``error``, which gets its traceback as a note.

        An error that cannot be pickled is replaced by a RuntimeError.
        """
        error.add_note("".join(traceback.format_exception(error)))
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return cls(RuntimeError(f"{type(error).__name__}: {error}"))
        return cls(error)


class RunPipe:
    """The end of the pipe in Ray's process; it sends each message whole and in order."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self.receive = connection.recv

    def send(self, message: object) -> None:
        """Send ``message`` whole, then raise KeyboardInterrupt if an interrupt came meanwhile."""
        with defer_signals() as signals, self._lock:
            self._connection.send(message)
        if signals:
            raise KeyboardInterrupt
