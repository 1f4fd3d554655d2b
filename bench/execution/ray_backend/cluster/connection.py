"""Connect a run to Ray: the caller's connection, a cluster at an address, or a local Ray.

Usage:
    with connection(address, gpus) as kind: ...

If the program is already connected to Ray, the run uses that Ray and leaves it as it was.
"""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import ray
from ray.util import client

import bench
from bench.errors import ResourceError, UsageError
from bench.execution.ray_backend.cluster.cluster_nodes import alive_nodes, ask_nodes
from bench.execution.ray_backend.cluster.head_address import resolve_address
from bench.execution.ray_backend.local.local_ray import local_ray
from bench.execution.ray_backend.ray_compat import (
    forget_settings,
    in_worker_process,
    shutdown_safely,
)
from bench.execution.trial_environment.version_check import ray_version_mismatch
from bench.measure.host import usable_cores

Kind = Literal["caller's", "joined", "local"]

_OTHER_VARIABLES = ("CUDA_DEVICE_ORDER", "PYTHONBREAKPOINT")


@contextlib.contextmanager
def connection(
    address: str | None,
    gpus: Callable[[], Sequence[str]],
    modules: Sequence[Path] = (),
    folder: Path | None = None,
) -> Iterator[Kind]:
    """Connect this process to Ray for the block, and restore its variables afterwards.

    ``gpus`` names this machine's GPUs for a local Ray, whose files are in ``folder``. ``modules``
    are sent to a Ray at ``address``. Raises UsageError (which includes ResourceError) if no Ray is
    available, or if the caller's cannot run trials.
    """
    if client.ray.is_connected():
        raise UsageError(
            "this process is a Ray client (ray://), which cannot place trials: call ray.shutdown() "
            "first, or run on the cluster itself"
        )
    if ray.is_initialized():
        _check_callers(address)
        yield "caller's"
        return
    with _restore_variables():
        # NVML and Ray number GPUs in the bus's order; CUDA does so only with this setting.
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # By default, Ray gives its workers a lower priority than other processes.
        os.environ.setdefault("RAY_worker_niceness", "0")
        os.environ.setdefault("RAY_COLOR_PREFIX", "0")
        if address is None:
            with local_ray(usable_cores(), gpus(), folder):
                yield "local"
            return
        try:
            with _restore_sigterm():
                _join(address, modules)
            yield "joined"
        finally:
            shutdown_safely()


def _check_callers(address: str | None) -> None:
    """Raise UsageError if trials cannot run on the Ray that this process is connected to."""
    context = ray.get_runtime_context()
    if address is not None and resolve_address(address) != context.gcs_address:
        raise UsageError(
            f"this process is connected to the Ray at {context.gcs_address}, not to {address}: "
            "omit the address, or call ray.shutdown() first"
        )
    if in_worker_process() and context.get_assigned_resources().keys() & {"CPU", "GPU"}:
        raise UsageError(
            "the calling Ray task or actor holds cores or GPUs that its trials would wait for: "
            "give it num_cpus=0 and num_gpus=0, or call from the driver"
        )
    nodes = alive_nodes()
    has_bench = ask_nodes(nodes, _bench_finder())
    lacking = [node["NodeManagerAddress"] for node in nodes if not has_bench.get(node["NodeID"])]
    if lacking:
        raise ResourceError(
            f"workers of this process's Ray at {', '.join(lacking)} cannot import trainbench: "
            "install it there, or pass runtime_env={'py_modules': [bench.__path__[0]]} to ray.init"
        )


def _bench_finder() -> Callable[[], bool]:
    # The function is nested, because a node without this module could not load a function of it.
    def finds_bench() -> bool:
        import importlib.util

        return importlib.util.find_spec("bench") is not None

    return finds_bench


def _join(address: str, modules: Sequence[Path]) -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)
    address = resolve_address(address)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    package = {"py_modules": [str(Path(bench.__file__).parent), *map(str, modules)]}
    try:
        ray.init(address=address, runtime_env=package, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        text = str(error)
        reason = ray_version_mismatch(text) or (
            f"{text.splitlines()[0] if text else type(error).__name__}: install "
            "its versions of Python and Ray here, and copy its token (~/.ray/auth_token)"
        )
        raise ResourceError(f"cannot join the Ray cluster at {address}: {reason}") from None


@contextlib.contextmanager
def _restore_variables() -> Iterator[None]:
    """Restore the variables that a start of Ray sets, and clear what Ray has read from them."""
    before = _variables()
    try:
        yield
    finally:
        for name in _variables().keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
        forget_settings()


def _variables() -> dict[str, str]:
    return {n: v for n, v in os.environ.items() if n.startswith("RAY_") or n in _OTHER_VARIABLES}


@contextlib.contextmanager
def _restore_sigterm() -> Iterator[None]:
    """Restore the handler of SIGTERM, which Ray replaces by one that exits at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
