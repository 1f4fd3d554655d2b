"""Check that the limits of this process leave room for a local Ray and one trial.

Usage:
    check_limits(cores)        # ResourceError that names the limit to raise

Under a limit that is too low, Ray neither starts nor fails: its libraries wait for threads that
could not be started.
"""

from bench.errors import ResourceError
from bench.execution.ray_backend.ray_compat import object_store_bytes
from bench.measure import host

MIN_PROCESSES, PROCESSES_PER_CORE = 175, 10
"""Processes and threads of a driver, Ray 2.60 and a trial with one worker: base, and per core.

Measured as pids.peak of a control group: 194 on two cores; by summing threads every 50 ms, 179 on
one core and 189 on two.
"""
MIN_MEMORY_BYTES = 560 * 2**20
"""Memory of the same processes.

Measured as memory.max_usage_in_bytes of a control group: 572 to 579 MiB for a net of 8 units, with
libraries in the cache. Under a limit of 512 MiB the worker is killed as it starts.
"""
MIN_ADDRESS_SPACE_BYTES = 2_800_000_000
"""Address space of a trial's process, except Ray's object store, which each process maps whole.

Measured as VmPeak: 9.16 GB with a store of 6.4 GB. With 8.19 GB, TensorFlow's libraries did not
fit.
"""


def check_limits(cores: int) -> None:
    """Raise ResourceError if the limits are too low for a local Ray and a trial on ``cores``."""
    needed = MIN_PROCESSES + PROCESSES_PER_CORE * cores
    what = f"a local Ray and a trial need about {needed} processes and threads"
    remaining = host.processes_left()
    if remaining is not None and remaining < needed:
        raise ResourceError(
            f"{what}, but this control group has {remaining} left: raise its limit "
            "(docker run --pids-limit, TasksMax of systemd, pids.max)"
        )
    remaining = host.user_processes_left()
    if remaining is not None and remaining < needed:
        raise ResourceError(f"{what}, but this user has {remaining} left: raise ulimit -u")
    memory_bytes = host.memory_left_bytes()
    if memory_bytes is not None and memory_bytes < MIN_MEMORY_BYTES:
        raise ResourceError(
            f"a local Ray and a trial need {_mb(MIN_MEMORY_BYTES)} of memory, but this control "
            f"group has {_mb(memory_bytes)} left: raise its limit (docker run --memory, sbatch "
            "--mem, memory.max)"
        )
    space_bytes = host.address_space_bytes()
    needed_bytes = MIN_ADDRESS_SPACE_BYTES + object_store_bytes()
    if space_bytes is not None and space_bytes < needed_bytes:
        raise ResourceError(
            f"a trial's process needs {_mb(needed_bytes)} of address space, but the limit is "
            f"{_mb(space_bytes)}: raise ulimit -v"
        )


def _mb(count_bytes: int) -> str:
    return f"{count_bytes / 1e6:,.0f} MB"
