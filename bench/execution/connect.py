"""The Ray that a run is to use: its caller's, one at an address, or one of this machine's own.

Usage:
    with connection(address, gpus) as kind: ...

A program that has a Ray already keeps it: what is not a run's own is left as it was found.
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
from ray._private import worker

# Ray's compiled library tells no types.
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
from ray.util import client

import bench
from bench.errors import ResourceError, UsageError
from bench.execution.address import found_at
from bench.execution.leaving import leave
from bench.execution.local_ray import local_ray
from bench.execution.nodes import alive_nodes, ask_nodes
from bench.execution.versions import refused_by_ray
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
    """Connect this process to Ray for the block, and leave its variables as they were.

    ``gpus`` names those of this machine for a Ray of its own, whose files are in ``folder``;
    ``modules`` are sent along to one at ``address``. UsageError (a ResourceError among them) where
    there is none to be had, or where the caller's cannot run trials.
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
    with _variables_kept():
        # NVML and Ray count GPUs in the bus's order; CUDA does so only when told.
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray would have its workers give way to whatever else runs here.
        os.environ.setdefault("RAY_worker_niceness", "0")
        os.environ.setdefault("RAY_COLOR_PREFIX", "0")
        if address is None:
            with local_ray(usable_cores(), gpus(), folder):
                yield "local"
            return
        try:
            with _own_signals():
                _join(address, modules)
            yield "joined"
        finally:
            leave()


def _check_callers(address: str | None) -> None:
    """Raise UsageError where trials cannot run on the Ray that this process is connected to."""
    context = ray.get_runtime_context()
    if address is not None and found_at(address) != context.gcs_address:
        raise UsageError(
            f"this process is connected to the Ray at {context.gcs_address}, not to {address}: "
            "leave the address out, or call ray.shutdown() first"
        )
    in_worker = worker.global_worker.mode == ray.WORKER_MODE
    if in_worker and context.get_assigned_resources().keys() & {"CPU", "GPU"}:
        raise UsageError(
            "the Ray task or actor that calls this holds cores or GPUs for which its trials would "
            "wait: give it num_cpus=0 and num_gpus=0, or call from the driver"
        )
    nodes = alive_nodes()
    has_bench = ask_nodes(nodes, _bench_finder())
    lacking = [node["NodeManagerAddress"] for node in nodes if not has_bench.get(node["NodeID"])]
    if lacking:
        raise ResourceError(
            f"no worker of this process's Ray at {', '.join(lacking)} finds trainbench: install it "
            "there, or pass runtime_env={'py_modules': [bench.__path__[0]]} to ray.init"
        )


def _bench_finder() -> Callable[[], bool]:
    # Not a function of this module, which a node without it could not even load.
    def finds_bench() -> bool:
        import importlib.util

        return importlib.util.find_spec("bench") is not None

    return finds_bench


def _join(address: str, modules: Sequence[Path]) -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)
    address = found_at(address)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    package = {"py_modules": [str(Path(bench.__file__).parent), *map(str, modules)]}
    try:
        ray.init(address=address, runtime_env=package, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        said = str(error)
        reason = refused_by_ray(said) or (
            f"{said.splitlines()[0] if said else type(error).__name__}: give this machine its "
            "Python, its Ray and its token (~/.ray/auth_token)"
        )
        raise ResourceError(f"cannot join the Ray cluster at {address}: {reason}") from None


@contextlib.contextmanager
def _variables_kept() -> Iterator[None]:
    """Put back the variables that a start of Ray sets, and what Ray has read of them."""
    before = _variables()
    try:
        yield
    finally:
        for name in _variables().keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()


def _variables() -> dict[str, str]:
    return {n: v for n, v in os.environ.items() if n.startswith("RAY_") or n in _OTHER_VARIABLES}


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Put back the handler of SIGTERM that Ray replaces by one that exits on the spot."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
