"""Hold the private parts of Ray that this package uses; checked on Ray 2.60.

Usage:
    with loopback_only():
        ray.init("local", ...)
    stop_monitor_processes()
    ...
    shutdown_safely()                  # instead of ray.shutdown()

No other module uses a private part. tests/execution/ray_backend/test_ray_compat.py fails, and names
the part, when a later Ray no longer has one of those here.
"""

import atexit
import contextlib
import ctypes
from collections.abc import Iterator

import ray
import ray._raylet
from ray._common.network_utils import build_address
from ray._private import ray_constants, worker
from ray._private.authentication.authentication_token_generator import (
    generate_new_authentication_token,
)
from ray._private.authentication.authentication_token_setup import (
    maybe_enable_token_auth_if_token_available,
)
from ray._private.grpc_utils import init_grpc_channel
from ray._private.ray_constants import GLOBAL_GRPC_OPTIONS
from ray._private.services import get_ray_address_from_environment
from ray._private.state import available_resources_per_node
from ray._private.utils import estimate_available_memory, resolve_object_store_memory

# Ray's compiled library has no type information.
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
from ray.autoscaler._private.util import prepare_config, validate_config

__all__ = [
    "CHECKED_VERSION",
    "DRAIN_CALLS",
    "GLOBAL_GRPC_OPTIONS",
    "MONITORS",
    "RESET_CALLS",
    "AuthenticationTokenLoader",
    "Config",
    "available_resources_per_node",
    "build_address",
    "cancel_exit_hook",
    "forget_settings",
    "generate_new_authentication_token",
    "get_ray_address_from_environment",
    "gpu_names_on_node",
    "in_worker_process",
    "init_grpc_channel",
    "loopback_only",
    "maybe_enable_token_auth_if_token_available",
    "object_store_bytes",
    "prepare_config",
    "ray_constants",
    "shutdown_safely",
    "stop_monitor_processes",
    "validate_config",
    "worker",
]

CHECKED_VERSION = "2.60"
DRAIN_CALLS = "_ZN3ray3rpc23DrainServerCallExecutorEv"
"""``ray::rpc::DrainServerCallExecutor()`` as the C++ compiler mangles it."""
RESET_CALLS = "_ZN3ray3rpc23ResetServerCallExecutorEv"
"""``ray::rpc::ResetServerCallExecutor()``."""
MONITORS = ("kill_log_monitor", "kill_monitor", "kill_dashboard")
"""Methods of Ray's node that stop one of its monitoring processes each."""


def shutdown_safely() -> None:
    """Shut Ray down in this process without a crash; the process can start Ray again.

    While Ray frees the driver's core worker, a separate thread still answers other nodes that
    wait for the driver's objects. The thread reads what is being freed, and sometimes causes a
    segmentation fault. Ray stops that thread first in workers (ray-project/ray#34656 did it for
    servers), but not in drivers.
    """
    library = ctypes.CDLL(ray._raylet.__file__)
    try:
        drain, reset = library[DRAIN_CALLS], library[RESET_CALLS]
    except AttributeError:  # another version of Ray may not have them
        ray.shutdown()
        return
    drain.restype = reset.restype = None
    drain()
    try:
        ray.shutdown()
    finally:
        reset()


def stop_monitor_processes() -> None:
    """Stop the monitoring processes of the Ray that this process has started.

    They forward logs to drivers, serve the dashboard and request further nodes, up to ten times a
    second. That takes 1 % of a core, and about as much of an epoch on two cores. None of them is
    needed where one driver uses the machine and keeps its workers' logs.
    """
    node = worker._global_node
    for name in MONITORS:
        with contextlib.suppress(AttributeError, KeyError):  # another version may start fewer
            getattr(node, name)(check_alive=False)


@contextlib.contextmanager
def loopback_only() -> Iterator[None]:
    """Have a Ray that starts inside the block listen on 127.0.0.1, not on all addresses.

    Ray reads its own switch (RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0) when it is imported. If
    ``ray.init`` gets the address 127.0.0.1, Ray replaces it with one that other machines can reach.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def cancel_exit_hook() -> None:
    """Cancel Ray's shutdown at exit, which would wait for a lock that a stuck start holds."""
    atexit.unregister(worker.shutdown)


def in_worker_process() -> bool:
    """Return whether this process runs a Ray task or actor."""
    return bool(worker.global_worker.mode == ray.WORKER_MODE)


def gpu_names_on_node(count: int) -> tuple[str, ...]:
    """Return Ray's names of all ``count`` GPUs that it can assign on this worker's node."""
    # Ray may have changed CUDA_VISIBLE_DEVICES itself since then, if it reuses the worker.
    entries = worker.global_worker.original_visible_accelerator_ids.get("GPU")
    return tuple(map(str, range(count) if entries is None else entries[:count]))


def forget_settings() -> None:
    """Clear what Ray has read from environment variables."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def object_store_bytes() -> int:
    """Return the size that Ray gives the object store when it starts on this machine."""
    return int(resolve_object_store_memory(estimate_available_memory()))
