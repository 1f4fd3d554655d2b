"""Start a Ray on this machine for one run, within a deadline, and end all its processes.

Usage:
    with local_ray(cores=8, gpus=["0"]): ...      # ResourceError if none can be started

A thread starts Ray, so that the main thread can handle signals meanwhile; inside Ray's C++ code it
could not. The thread lives as long as that Ray, because the kernel kills Ray's processes when the
thread that started them ends (PR_SET_PDEATHSIG).
"""

import contextlib
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray

from bench.execution.gpus.gpu_visibility import offer_gpus
from bench.execution.ray_backend.local.private_ray_files import (
    NotStartedError,
    protect_token,
    ray_folder,
)
from bench.execution.ray_backend.local.ray_storage import (
    base_folder,
    logs_folder,
    storage_variables,
)
from bench.execution.ray_backend.local.start_limits import check_limits
from bench.execution.ray_backend.ray_compat import (
    cancel_exit_hook,
    loopback_only,
    shutdown_safely,
    stop_monitor_processes,
)
from bench.execution.signals import block_signals
from bench.measure.host import kill_descendants

_START_S = 55.0
"""How long a start may take; on a busy machine with two cores it took 18 s."""
_GRACE_S = 10.0
"""How long an interrupted start may take to finish, so that it can be undone in order."""
_KILLED_S = 5.0


class _Starter(threading.Thread):
    """The thread that starts Ray, and then waits until Ray has ended."""

    def __init__(self, cores: int, gpus: Sequence[str]) -> None:
        super().__init__(name="starts Ray", daemon=True)
        self._cores, self._gpus = cores, gpus
        self.returned = threading.Event()
        self.error: Exception | None = None
        self.ended = threading.Event()

    def run(self) -> None:
        try:
            self._start()
        except Exception as error:
            self.error = error
        self.returned.set()
        self.ended.wait()

    def _start(self) -> None:
        # The address is "local", because None would join a cluster that RAY_ADDRESS or a file
        # names. Signals are blocked, because a signal to the whole job would end Ray first, and its
        # library would then exit this process before the running trials are recorded.
        with block_signals(), offer_gpus(self._gpus), loopback_only():
            ray.init(
                "local",
                num_cpus=self._cores,
                num_gpus=len(self._gpus),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        stop_monitor_processes()
        # If no worker can start, no later call would be answered.
        task: Any = ray.remote(_answer)
        ray.get(task.options(num_cpus=0).remote())


def _answer() -> None:
    """Do nothing: a task that shows that workers start."""


@contextlib.contextmanager
def local_ray(cores: int, gpus: Sequence[str], folder: Path | None = None) -> Iterator[None]:
    """Run a Ray on this machine for the block, with ``cores`` and these GPUs.

    Its files are in ``folder``, or, if that is None, in a new folder that is removed at the end.
    Raises ResourceError if this process's limits or folders prevent a start, or it does not finish.
    """
    check_limits(cores)
    os.environ.update(storage_variables())
    protect_token()
    with contextlib.nullcontext(folder) if folder else ray_folder(base_folder()) as private:
        os.environ["RAY_TMPDIR"] = str(private)
        starter = _Starter(cores, gpus)
        starter.start()
        try:
            _wait(starter)
            yield
        finally:
            if starter.returned.is_set():
                shutdown_safely()
            starter.ended.set()


def _wait(starter: _Starter) -> None:
    """Wait until Ray has started; if it does not, end what has been started."""
    try:
        returned = starter.returned.wait(_START_S)
    except BaseException:
        if not starter.returned.wait(_GRACE_S):
            _abandon(starter)
        raise
    if returned and starter.error is None:
        return
    _abandon(starter)
    reason = (
        " ".join(str(starter.error).split()) if returned else f"no answer within {_START_S:g} s"
    )
    raise NotStartedError(
        f"Ray does not start on this machine ({reason}), which may be too slow or busy: see Ray's "
        f"logs in {logs_folder()}, end other programs, and raise this process's limits on "
        "processes (ulimit -u, pids.max) and memory"
    )


def _abandon(starter: _Starter) -> None:
    """Kill the processes of a stuck start, so that Ray's library does not block the exit."""
    kill_descendants(str(Path(ray.__file__).parent))
    if not starter.returned.wait(_KILLED_S):
        cancel_exit_hook()
