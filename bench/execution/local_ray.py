"""A Ray of this machine for one run: started within a deadline, ended with all that belongs to it.

Usage:
    with local_ray(cores=8, gpus=["0"]): ...      # ResourceError where none can be started

A thread starts it, so that the main thread heeds signals meanwhile: inside Ray's C++ code it
would not. The thread lives as long as that Ray, whose processes the kernel ends with the thread
that began them (PR_SET_PDEATHSIG).
"""

import atexit
import contextlib
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
from ray._private import worker

from bench.execution.interrupt import unheard
from bench.execution.leaving import leave
from bench.execution.loopback import loopback_only
from bench.execution.onlookers import end_onlookers
from bench.execution.ray_files import NotStartedError, protect_token, ray_folder
from bench.execution.ray_storage import base_folder, logs_folder, storage_variables
from bench.execution.start_limits import check_limits
from bench.execution.visibility import offered
from bench.measure.host import kill_descendants

_START_S = 55.0
"""How long a start may take; on a busy machine of two cores it took 18 s."""
_GRACE_S = 10.0
"""How long an interrupted start may take to come to an end, so that it can be undone in order."""
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
        # "local", since None would join whatever cluster RAY_ADDRESS or a file names.
        # A signal to the whole job would end it first, and its library would then exit this
        # process on the spot, before what is running is on record.
        with unheard(), offered(self._gpus), loopback_only():
            ray.init(
                "local",
                num_cpus=self._cores,
                num_gpus=len(self._gpus),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        end_onlookers()
        # Where no worker can start, nothing that is asked later is answered.
        task: Any = ray.remote(_answer)
        ray.get(task.options(num_cpus=0).remote())


def _answer() -> None:
    """What a worker is asked first."""


@contextlib.contextmanager
def local_ray(cores: int, gpus: Sequence[str], folder: Path | None = None) -> Iterator[None]:
    """Have a Ray of this machine for the block, with ``cores`` and these GPUs.

    Its files are in ``folder``, or where that is None in a new one, which goes with it.

    ResourceError, which names what to change, where the limits of this process, its folders or a
    start that does not come to an end keep it from starting.
    """
    check_limits(cores)
    os.environ.update(storage_variables())
    protect_token()
    with contextlib.nullcontext(folder) if folder else ray_folder(base_folder()) as place:
        os.environ["RAY_TMPDIR"] = str(place)
        starter = _Starter(cores, gpus)
        starter.start()
        try:
            _wait(starter)
            yield
        finally:
            if starter.returned.is_set():
                leave()
            starter.ended.set()


def _wait(starter: _Starter) -> None:
    """Wait until Ray has started; end what has been started where it has not."""
    try:
        returned = starter.returned.wait(_START_S)
    except BaseException:
        if not starter.returned.wait(_GRACE_S):
            _abandon(starter)
        raise
    if returned and starter.error is None:
        return
    _abandon(starter)
    reason = " ".join(str(starter.error).split()) if returned else f"no answer in {_START_S:g} s"
    raise NotStartedError(
        f"Ray does not start on this machine ({reason}): this machine may be too slow or busy: "
        f"end what else runs, see Ray's logs in {logs_folder()}, and raise this "
        "process's limits on processes (ulimit -u, pids.max) and memory"
    )


def _abandon(starter: _Starter) -> None:
    """Kill what a start has begun; what is stuck in Ray's library must not hold up the exit."""
    kill_descendants(str(Path(ray.__file__).parent))
    if not starter.returned.wait(_KILLED_S):
        # It would wait for the lock that the start holds.
        atexit.unregister(worker.shutdown)
