"""The executors by name; each is imported only when it is asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from bench.errors import UsageError
from bench.execution.executor import Executor


def make_executor(
    name: str,
    address: str | None = None,
    device: Literal["auto", "cpu", "gpu"] = "auto",
    modules: Sequence[Path] = (),
    network: str | None = None,
) -> Executor:
    """The executor called ``name``: ray, inprocess or simulated.

    ``modules`` are files and packages beside the suite's file that workers import.
    UsageError for another, and for an address, a device or a network that it cannot act on.
    """
    if name == "ray":
        from bench.execution.ray_executor import RayExecutor

        return RayExecutor(address, device, modules, network)
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
