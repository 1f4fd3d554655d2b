"""Make executors by name; each is imported only when it is used."""

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.errors import UsageError
from bench.execution.executor import Executor
from bench.spec.device import RequestedDevice


def make_executor(
    name: str,
    address: str | None = None,
    device: RequestedDevice = "auto",
    modules: Sequence[Path] = (),
    network: str | None = None,
) -> Executor:
    """Return the executor called ``name``: ray, inprocess or simulated.

    ``modules`` are files and packages beside the suite's file that workers import. Raises
    UsageError for another name, and for an address, device or network that the executor cannot use.
    """
    if name == "ray":
        if _has_ray():
            from bench.execution.ray_backend.ray_executor import RayExecutor

            return RayExecutor(address, device, modules, network)
        from bench.execution.ray_backend.process.ray_process import RayProcess

        return RayProcess(address, device, modules, network)
    for_ray = address is not None or device != "auto" or network is not None
    if name in ("inprocess", "simulated") and for_ray:
        raise UsageError(
            f"--address, --device and --network are for the executor ray, not for {name}"
        )
    if name == "inprocess":
        from bench.execution.inprocess import InProcessExecutor

        return InProcessExecutor()
    if name == "simulated":
        from bench.execution.simulated import SimulatedExecutor

        return SimulatedExecutor()
    raise UsageError(f"no executor {name!r}: use ray, inprocess or simulated")


def _has_ray() -> bool:
    """Return whether this process is already connected to a Ray, on which trials must then run."""
    if "ray" not in sys.modules:
        return False
    import ray
    from ray.util import client

    return bool(ray.is_initialized() or client.ray.is_connected())
